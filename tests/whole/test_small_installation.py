"""The installation without extras: what it runs, and what it says of the rest."""

import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from support.commands import Ended, apart, done
from support.pictures import CHELSEA
from support.places import ROOT

from integration.codec.libaom_build import Libraries
from integration.pipeline.build import build_pipeline
from integration.pipeline.config import BuildConfig
from integration.pipeline.policy import Policy
from toolkit.extras import EXTRAS, advice

HIDDEN = tuple(module for modules in EXTRAS.values() for module in modules)
HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
"""


def small(*commands: Sequence[object], extra: str = "") -> Iterable[tuple[Sequence[object], Ended]]:
    """Commands of `av1part`, and how they end where no extra is installed, or this one alone."""
    hidden = tuple(module for module in HIDDEN if module not in EXTRAS.get(extra, ()))
    return apart(commands, prepare=HIDE.format(hidden=hidden))


def brought(extra: str) -> set[str]:
    """Modules that an extra of pyproject.toml brings, those of extras within it included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = set()
    for line in project["optional-dependencies"][extra]:
        if line.startswith("av1part["):
            for inner in line.removeprefix("av1part[").rstrip("]").split(","):
                found |= brought(inner)
        else:
            name = line.partition(">")[0].partition("=")[0]
            found.add({"scikit-learn": "sklearn", "onnxruntime-gpu": "onnxruntime"}.get(name, name.replace("-", "_")))
    return found


def test_every_package_of_an_extra_is_known_by_its_module() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra, known in EXTRAS.items():
        assert brought(extra) == set(known)
    assert not any(line.startswith(("torch", "onnx")) for line in project["dependencies"])


def test_encoding_labelling_and_recording_need_no_extra(libaom: Libraries, tmp_path: Path) -> None:
    settings = ("--size", "64x64", "--cq", 40)
    code = (*settings, "--jobs", 1, "--split", "train")
    *ended, (_, last) = small(
        ("encode", CHELSEA, *settings, "--cpu-used", 2, "-o", tmp_path / "out.ivf"),
        ("encode", CHELSEA, *settings, "--no-pipeline", "-o", tmp_path / "stock.mp4"),
        ("run", "--quiet", "--", "true"),
        ("env", "--format", "lines"),
        ("zoo",),
        ("zoo", "show", "photo-8bit"),
        ("pruner", "info", "photo-8bit"),
        ("encoder", "info"),
        ("label", CHELSEA, *code, "-o", tmp_path / "data"),
        ("record", CHELSEA, *code, "-o", tmp_path / "record"),
        ("data", "info", tmp_path / "data"),
        ("data", "info", tmp_path / "data", "--json", "--preview", tmp_path / "preview.png"),
        ("data", "merge", tmp_path / "data", tmp_path / "data", "-o", tmp_path / "merged"),
        ("data", "merge", tmp_path / "record", tmp_path / "record", "-o", tmp_path / "records"),
        ("encode", CHELSEA, *settings, "--cpu-used", 2, "-o", tmp_path / "b.ivf"),
    )
    for words, run in ended:
        assert run.returncode == 0, (words, run.stderr)
    assert "photo-8bit" in last.stderr


def test_masks_need_onnx_runtime_alone_and_give_the_same_stream(
    libaom: Libraries, exported: Path, blockset_8: Path, tmp_path: Path
) -> None:
    pipe, settings = tmp_path / "pipe", ("--size", "64x64", "--cq", 40, "--any-settings")
    policy = Policy.of(drop_ab_below=1, drop_split_below=1, drop_four_way_below=1)
    build_pipeline([exported], pipe, policy, BuildConfig(allow_unproven=True))
    for words, run in small(
        ("encode", CHELSEA, *settings, "--pipeline", pipe, "-o", tmp_path / "out.ivf", "--json"),
        ("pipeline", "info", pipe),
        ("pipeline", "eval", pipe, blockset_8, "--limit", 50),
        ("pipeline", "build", exported, "--allow-unproven", "-o", tmp_path / "again"),
        ("bundle", "info", exported),
        extra="masks",
    ):
        assert run.returncode == 0, (words, run.stderr)
    done("encode", CHELSEA, *settings, "--pipeline", pipe, "-o", tmp_path / "full.ivf")
    assert (tmp_path / "out.ivf").read_bytes() == (tmp_path / "full.ivf").read_bytes()
    done("encode", CHELSEA, *settings[:-1], "--no-pipeline", "-o", tmp_path / "stock.ivf")
    assert (tmp_path / "out.ivf").read_bytes() != (tmp_path / "stock.ivf").read_bytes(), "nothing was masked"
    ((_, without),) = small(("encode", CHELSEA, *settings, "--pipeline", pipe, "-o", tmp_path / "no.ivf"))
    assert without.returncode == 1
    assert 'Install it with `pip install "av1part[masks]"`' in without.stderr
    assert without.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("train", ROOT / "toolkit" / "sample", "-o", "run"),
        ("bench", "encoder", CHELSEA, "--presets", "2", "-o", "bench"),
    ],
)
def test_what_needs_an_extra_says_which(words: tuple[object, ...]) -> None:
    ((_, run),) = small(words)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1, run.stderr
    assert 'which the small installation leaves out. Install it with `pip install "av1part[train]"`' in run.stderr


def test_a_missing_module_is_told_by_the_extra_that_brings_it() -> None:
    assert advice(ModuleNotFoundError("No module named 'toolkit.nothing'", name="toolkit.nothing")) is None
    assert "av1part[train]" in str(advice(ModuleNotFoundError("No module named 'onnx'", name="onnx")))
    assert "av1part[masks]" in str(advice(ModuleNotFoundError("No module named 'onnx'", name="onnx"), "masks"))
    assert advice(ModuleNotFoundError("No module named 'torch'", name="torch"), "masks") is None
