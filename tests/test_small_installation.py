"""The installation without extras: what it runs, and what it says of the rest."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support.pictures import CHELSEA

from integration.codec.libaom_build import Libraries
from toolkit.cli.extras import EXTRAS, advice

ROOT = Path(__file__).resolve().parents[1]
HIDDEN = tuple(module for modules in EXTRAS.values() for module in modules)
START = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HIDDEN!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
from toolkit.cli.main import main
main()
"""


def small(*words: object) -> subprocess.CompletedProcess[str]:
    """`av1part` where no extra is installed."""
    return subprocess.run([sys.executable, "-c", START, *map(str, words)], capture_output=True, text=True, check=False)


def test_every_package_of_an_extra_is_known_by_its_module() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    modules = {"scikit-learn": "sklearn", "onnxruntime-gpu": "onnxruntime"}
    for extra, known in EXTRAS.items():
        names = [line.partition(">")[0].partition("=")[0] for line in project["optional-dependencies"][extra]]
        own = {modules.get(name, name.replace("-", "_")) for name in names if not name.startswith("av1part")}
        assert own == set(known)
    assert not any(line.startswith(("torch", "onnx")) for line in project["dependencies"])


def test_encoding_labelling_and_recording_need_no_extra(libaom: Libraries, tmp_path: Path) -> None:
    settings = ("--size", "64x64", "--cq", 40)
    code = (*settings, "--jobs", 1, "--split", "train")
    for words in (
        ("encode", CHELSEA, *settings, "--cpu-used", 2, "-o", tmp_path / "out.ivf"),
        ("encode", CHELSEA, *settings, "--no-pipeline", "-o", tmp_path / "stock.mp4"),
        ("run", "--quiet", "--", "true"),
        ("zoo",),
        ("zoo", "show", "photo-8bit"),
        ("pruner", "info", "photo-8bit"),
        ("encoder", "info"),
        ("label", CHELSEA, *code, "-o", tmp_path / "data"),
        ("record", CHELSEA, *code, "-o", tmp_path / "record"),
    ):
        done = small(*words)
        assert done.returncode == 0, (words, done.stderr)
    assert "photo-8bit" in small("encode", CHELSEA, *settings, "--cpu-used", 2, "-o", tmp_path / "b.ivf").stderr


@pytest.mark.parametrize(
    "words",
    [
        ("train", ROOT / "toolkit" / "sample", "-o", "run"),
        ("bench", "encoder", CHELSEA, "--presets", "2", "-o", "bench"),
    ],
)
def test_what_needs_an_extra_says_which(words: tuple[object, ...]) -> None:
    done = small(*words)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert 'which the small installation leaves out. Install it with `pip install "av1part[train]"`' in done.stderr


def test_a_missing_module_is_told_by_the_extra_that_brings_it() -> None:
    assert advice(ModuleNotFoundError("No module named 'toolkit.nothing'", name="toolkit.nothing")) is None
    assert "av1part[train]" in str(advice(ModuleNotFoundError("No module named 'onnx'", name="onnx")))
