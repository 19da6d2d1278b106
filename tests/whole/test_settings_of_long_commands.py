"""Settings of commands that work for long: kept with what is written, taken back by --config, shown by --dry-run."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from support.commands import cli, done, fails
from support.pictures import CHELSEA

from integration.codec.libaom_build import Libraries
from toolkit.cli.long_command import LongCommand
from toolkit.cli.main import commands, main
from toolkit.cli.reference import single
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.pruners.record import SearchSet
from toolkit.sealed import CONFIG

SMALL = ("--backbone", "small", "--limit-train", 40, "--limit-val", 20, "--precision", "32-true")


def settings(path: Path) -> dict[str, object]:
    return tomllib.loads((path / CONFIG).read_text())


@pytest.fixture(scope="module")
def run(blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run of one epoch, by a recipe."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    done("train", blockset_8, "-o", folder, "--recipe", "scratch", *SMALL, "--epochs", 1, "--stage", "1")
    return folder


def test_every_long_command_has_an_output_and_both_options() -> None:
    context = main.make_context("av1part", ["train", "--help"], resilient_parsing=True)
    found = {
        words: command
        for name in commands()
        for words, command in single(main.get_command(context, name), (name,))  # type: ignore[arg-type]
        if isinstance(command, LongCommand)
    }
    assert {("train",), ("sweep",), ("label",), ("record",), ("fit",), ("bench", "encoder")} <= found.keys()
    for words, command in found.items():
        options = {option for own in command.params for option in own.opts}
        assert {"-o", "--config", "--dry-run"} <= options, words


def test_a_run_holds_its_settings_those_of_its_recipe_included(run: Path, blockset_8: Path) -> None:
    kept = settings(run)
    assert kept["command"] == "train"
    assert (kept["data"], kept["output"], kept["recipe"]) == (str(blockset_8), str(run), "scratch")
    assert (kept["stage"], kept["epochs"], kept["limit-train"], kept["init"]) == ("1", 1, 40, "random")
    assert kept["batch-size"] == 128, "defaults too: they may be others in a later version"


def test_the_file_alone_makes_the_same_run_again_and_options_beside_it_win(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    done("train", "--config", run / CONFIG, "-o", again)
    assert settings(again) == settings(run) | {"output": str(again)}
    ours, theirs = (json.loads((path / "run.json").read_text()) for path in (run, again))
    assert (ours["model"], ours["train"]) == (theirs["model"], theirs["train"])
    shown = done("train", "--config", run / CONFIG, "-o", tmp_path / "other", "--epochs", 7, "--dry-run").stdout
    assert "epochs = 7\n" in shown
    assert not (tmp_path / "other").exists()


def test_an_edited_setting_wins_over_the_recipe_and_a_recipe_on_the_line_over_the_file(
    run: Path, tmp_path: Path
) -> None:
    edited = tmp_path / "edited.toml"
    edited.write_text((run / CONFIG).read_text().replace('init = "random"', 'init = "imagenet"'))
    command = ("train", "--config", edited, "-o", tmp_path / "new", "--dry-run")
    assert 'init = "imagenet"\n' in done(*command).stdout
    assert 'init = "random"\n' in done(*command, "--recipe", "scratch").stdout


def test_a_dry_run_of_a_training_says_nodes_and_steps(blockset_8: Path, tmp_path: Path) -> None:
    said = done("train", blockset_8, "-o", tmp_path / "run", *SMALL, "--init", "random", "--dry-run").stdout
    assert "Stage 2: 40 nodes to learn from, 20 to judge by.\n30 epochs of 1 steps of 128 nodes." in said
    assert f"Reads {blockset_8}: " in said
    assert f"Writes {tmp_path / 'run'}.\n" in said
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_holds_its_settings_as_they_were_typed(libaom: Libraries, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    words = ("label", CHELSEA, "--cq", "40,50", "--size", "64x64", "--split", "train", "--jobs", 1)
    said = done(*words, "-o", first, "--dry-run").stdout
    assert "chelsea: 1 frame of 64x42, 8 bit\n1 sources at 2 cq: 2 encodes." in said
    assert not first.exists()
    done(*words, "-o", first)
    kept = settings(first)
    assert (kept["cq"], kept["size"], kept["node"], kept["sources"]) == ("40,50", "64x64", ["16"], [str(CHELSEA)])
    done("label", "--config", first / CONFIG, "-o", second)
    assert settings(second) == kept | {"output": str(second)}
    ours, theirs = (json.loads((path / "manifest.json").read_text()) for path in (first, second))
    assert ours["encoder"] == theirs["encoder"]
    assert len(BlockSet.load(first).sources) == 1, "the settings belong in the folder"
    done("data", "info", first)


def test_the_file_holds_in_any_folder(blockset_8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").symlink_to(blockset_8)
    monkeypatch.chdir(tmp_path)
    shown = done("train", "data", "-o", "run", *SMALL, "--init", "random", "--dry-run").stdout
    file = tmp_path / "settings.toml"
    file.write_text(shown[: shown.index("\n\n")])
    kept = tomllib.loads(file.read_text())
    assert (kept["data"], kept["output"], kept["init"]) == (f"{tmp_path}/data", f"{tmp_path}/run", "random")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert f"Reads {tmp_path}/data: " in done("train", "--config", file, "--dry-run").stdout


def test_a_word_that_names_nothing_here_stays_and_a_table_becomes_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "splits.tsv").write_text("chelsea\ttrain\n")
    (tmp_path / "train").mkdir()
    words = ("label", CHELSEA, "-o", "set", "--size", "64x64")
    assert f'split = "{tmp_path}/splits.tsv"\n' in done(*words, "--split", "splits.tsv", "--dry-run").stdout
    assert 'split = "train"\n' in done(*words, "--split", "train", "--dry-run").stdout
    bench = ("bench", "encoder", CHELSEA, "-o", "report", "--size", "64x64", "--pruner", "photo-8bit")
    assert 'pruner = "photo-8bit"\n' in done(*bench, "--dry-run").stdout


def test_a_training_that_is_killed_has_its_settings_and_a_resumed_one_keeps_them(
    blockset_8: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ["train", blockset_8, *SMALL, "--init", "random", "--epochs", 2, "--freeze-epochs", 0, "-o", run]
    killed = (
        "import os; from toolkit.training.run_folder import RunFolder; from toolkit.cli.main import main\n"
        "RunFolder.write_epoch = lambda *words: os._exit(9)\n"
        f"main({list(map(str, words))!r})"
    )
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == 9
    begun = (run / CONFIG).read_bytes()
    assert settings(run)["epochs"] == 2
    done("train", blockset_8, "-o", run, "--resume")
    assert (run / CONFIG).read_bytes() == begun


@pytest.mark.usefixtures("libaom")
def test_a_benchmark_has_its_settings_from_its_first_encode_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from integration.bench import run as bench

    def stopped(clips: object, output: Path, config: object, masks: object, progress: Any, pruner: object) -> None:
        output.mkdir()
        progress(0, 9, "encoding")
        kept.update(settings(output))
        raise ToolkitError("stopped")

    kept: dict[str, object] = {}
    monkeypatch.setattr(bench, "run_bench", stopped)
    fails(cli("bench", "encoder", CHELSEA, "-o", tmp_path / "report", "--cq", "20,40,60"), "stopped")
    assert (kept["command"], kept["cq"]) == ("bench encoder", "20,40,60")


def test_a_record_with_its_settings_can_be_read(libaom: Libraries, tmp_path: Path) -> None:
    folder = tmp_path / "record"
    done("record", CHELSEA, "--cq", "50", "--size", "64x64", "--split", "train", "--jobs", 1, "-o", folder)
    assert settings(folder)["command"] == "record"
    assert len(SearchSet.load(folder).manifest["sources"]) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("command = 'label'\n", "settings of `av1part label`, expected those of `av1part train`"),
        ("epochs = 3\n", "settings of `av1part None`"),
        ("command = 'train'\nepoch = 3\n", "`av1part train` has no setting epoch. Did you mean epochs?"),
        ("command = 'train'\nepochs = [3]\n", "epochs is [3], expected one value as on the command line"),
        ("command = 'train'\nepochs = 2020-01-01\n", "expected one value as on the command line"),
        ("command = 'train'\nepochs = true\n", "epochs is True, expected one value as on the command line"),
        ("command = 'train'\noverwrite = true\n", "has no setting overwrite"),
        ("command =", "not readable as TOML"),
    ],
)
def test_a_file_that_is_not_the_commands_own_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    fails(cli("train", "--config", file, tmp_path, "-o", tmp_path / "run"), str(file), said)


@pytest.mark.parametrize(("value", "said"), [("'many'", "'many'"), ("3.7", "'3.7'")])
def test_a_value_that_an_option_cannot_have_is_a_usage_error(tmp_path: Path, value: str, said: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f"command = 'train'\nepochs = {value}\n")
    run = cli("train", "--config", file, tmp_path, "-o", tmp_path / "run")
    assert run.exit_code == 2
    assert f"Invalid value for '--epochs': {said} is not a valid integer" in run.stderr


def test_a_folder_that_was_refused_gets_no_settings(run: Path, blockset_8: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes").touch()
    assert cli("train", blockset_8, "-o", tmp_path / "own", *SMALL, "--init", "random").exit_code == 1
    assert not (tmp_path / "own" / CONFIG).exists()
