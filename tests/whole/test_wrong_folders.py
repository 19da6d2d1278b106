"""A wrong kind of folder is named, and so is the command that takes it; that needs no torch."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from export.bundle import bundle
from integration.media.sources import identify
from integration.pipeline import pipeline
from integration.pruning import bundle as pruner
from toolkit.cli.main import commands, main
from toolkit.data import format as data_format
from toolkit.data import group
from toolkit.errors import ToolkitError
from toolkit.folders import BUNDLE, KINDS, RUN, check_folder, kind_of
from toolkit.pruners import record_format

FILES = {"run": "run.json", "data": "manifest.json", "bundle": "manifest.json", "pipe": "manifest.json"}
KIND = {"run": "av1part-run", "data": "av1part-blockset", "bundle": "av1part-bundle", "pipe": "av1part-pipeline"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder that holds one folder of each kind, in name only, one of clips and one of neither."""
    for name, file in FILES.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(f'{{"kind": "{KIND[name]}"}}')
    (tmp_path / "run/stage2_history.pt").touch()
    for name in ("clips/b.Y4M", "clips/a.jpg", "clips/notes.txt", "clips/.hidden.png", "other/letter.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_table_has_every_kind_that_is_written() -> None:
    sealed = (data_format, group, bundle, pipeline, record_format, pruner)
    assert set(KINDS) == {RUN.kind, *(module.FORMAT.kind for module in sealed)}


REFUSED = [
    ("parity run data", "run: this is a run, for .*export.* Expected a bundle"),
    ("parity bundle run", "run: this is a run, .* Expected a data set"),
    ("parity clips data", "clips: a folder of 2 pictures or clips, for `av1part label`"),
    ("parity other data", "other: a folder in which no manifest.json or run.json says what it is"),
    ("parity bundle/manifest.json data", "manifest.json: a file, no such folder. Make a bundle with"),
    ("parity-foreign bundle bundle data", "bundle: this is a bundle, .*Expected a graph; a folder is no ONNX file"),
    ("pipeline build run -o out", "run: this is a run, .*Expected a bundle"),
    ("pipeline build bundle -o data", "data exists already"),
    ("pipeline eval bundle data", "bundle: this is a bundle, .*`av1part pipeline build`.* Expected a pipeline"),
    ("policy fit pipe --data run -o out", "run: this is a run, .*Expected a data set"),
    ("policy fit bundle --data data -o out", "bundle: this is a bundle, .*Expected a pipeline"),
    ("bench encoder clips --pipeline bundle -o out", "bundle: this is a bundle, .*Expected a pipeline"),
    ("bench encoder run -o out", "run: this is a run, .*Expected pictures, clips"),
    ("encode clips/b.Y4M --pipeline bundle -o out.mp4", "bundle: this is a bundle, .*Expected a pipeline"),
    ("encode clips -o out.mp4", "clips: a folder of 2 pictures or clips.* Expected a clip"),
    ("quantize run data -o out", "run: this is a run, .*Expected a bundle"),
    ("bundle verify pipe", "pipe: this is a pipeline, .*Expected a bundle"),
    ("bundle info run", "run: this is a run, .*Expected a bundle"),
    ("bundle sign run --key k", "run: this is a run, .*Expected a bundle"),
    ("export bundle -o out", "bundle: this is a bundle, .*Expected a run"),
    ("export run --data clips -o out", "clips: a folder of 2 .*Expected a data set"),
    ("select data", "data: this is a data set, .*Expected a run"),
    ("select run --data bundle", "bundle: this is a bundle, .*Expected a data set"),
    ("compare run bundle", "bundle: this is a bundle, .*Expected a run"),
    ("evaluate bundle data", "bundle: this is a bundle, .*Expected a run"),
    ("evaluate run clips", "clips: a folder of 2 .*Expected a data set"),
    ("ensemble run bundle -o out.pt", "bundle: this is a bundle, .*Expected a run"),
    ("import-checkpoint run --stage 2 --input-scale 1 --data data -o out.pt", "run: this is a run, .*Expected a .pt"),
    ("train run -o out", "run: this is a run, .*Expected a data set"),
    ("train clips -o out", "clips: a folder of 2 .*for `av1part label`.*Expected a data set"),
    ("train data -o out --from bundle", "bundle: this is a bundle, .*Expected a run"),
    ("train data -o bundle --resume", "bundle: this is a bundle, .*Expected a run"),
    ("sweep bundle --recipes best -o out", "bundle: this is a bundle, .*Expected a data set"),
    ("data info run", "run: this is a run, .*Expected a data set"),
    ("label run -o out", "run: this is a run, .*Expected pictures, clips"),
]


@pytest.mark.parametrize(("line", "said"), REFUSED, ids=[line for line, _ in REFUSED])
def test_a_wrong_folder_is_named_with_the_command_that_takes_it(line: str, said: str, here: Path) -> None:
    before = sorted(here.rglob("*"))
    run = CliRunner().invoke(main, line.split())
    assert run.exit_code == 1, run.output
    assert run.output.count("\n") == 1
    assert re.search(said, run.output), run.output
    assert sorted(here.rglob("*")) == before


def test_no_refusal_of_a_wrong_folder_waits_for_torch(here: Path) -> None:
    code = (
        "import sys\nfrom toolkit.cli.main import main\n"
        f"for line in {[line for line, _ in REFUSED]!r}:\n"
        "    try: main(line.split())\n"
        "    except SystemExit as e: assert e.code == 1, line\n"
        "    heavy = {'torch', 'onnxruntime', 'onnx', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "    assert not heavy, (line, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_folder_whose_manifest_is_of_no_known_kind_is_left_to_its_reader(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"kind": ["av1part-bundle"]}')
    assert kind_of(tmp_path) is None
    check_folder(tmp_path, BUNDLE)
    with pytest.raises(ToolkitError, match="Expected a run"):
        check_folder(tmp_path, RUN)


def test_a_folder_stands_for_the_pictures_and_clips_inside(here: Path) -> None:
    assert [file.name for file in identify([here / "clips"])] == ["a", "b"]
    with pytest.raises(ToolkitError, match="other: a folder in which no manifest"):
        identify([here / "other"])


def test_a_mistyped_command_or_option_is_answered_with_the_nearest() -> None:
    for line, meant in {
        "trian": "Did you mean train?",
        "pipeline biuld": "Did you mean 'build'?",
        "train x -o y --epoch 3": "Did you mean one of: '--epochs'",
        "zzz": "See `av1part --help`",
    }.items():
        run = CliRunner().invoke(main, line.split())
        assert run.exit_code == 2
        assert meant in run.output, run.output
    assert "train" in commands()
