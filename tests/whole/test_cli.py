"""The command line as a whole: help for every command, fast, without the heavy imports."""

import os
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from support.places import ROOT

from toolkit.cli import reference
from toolkit.cli.grouped import GroupedCommand
from toolkit.cli.main import commands, main

PAGES = reference.pages()


def test_help_imports_neither_torch_nor_onnxruntime() -> None:
    names = [[], *[[name] for name in sorted(commands())]]
    code = (
        "import sys\nfrom toolkit.cli.main import main\n"
        f"for name in {names!r}:\n"
        "    try: main([*name, '--help'])\n"
        "    except SystemExit as e: assert e.code == 0, name\n"
        "    heavy = {'torch', 'onnxruntime', 'onnx', 'sklearn', 'matplotlib', 'av'} & set(sys.modules)\n"
        "    assert not heavy, (name, heavy)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("Usage:") == len(names)


def test_the_help_of_train_is_in_groups_and_fits_two_screens() -> None:
    shown = CliRunner().invoke(main, ["train", "--help"], terminal_width=80).output
    assert len(shown.splitlines()) <= 100
    for group in ("Network", "Schedule", "Loss and samples", "Teacher", "Blocks", "Machine", "Going on"):
        assert f"\n{group}:\n" in shown
    assert "--[no-]qindex" in shown
    assert re.search(r"--epochs N +Epochs, frozen ones included.  \[default: 30\]", shown)


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        (["encode"], ("Masks and pruners", "Coding", "Sources", "AVIF")),
        (["bench", "encoder"], ("Arms", "Masks and pruners", "Coding", "Sources")),
        (["label"], ("Recording", "Coding", "Sources")),
        (["record"], ("Recording", "Coding", "Sources")),
        (["pruner", "fit"], ("Learning",)),
        (["policy", "fit"], ("Search", "Coding", "Sources")),
    ],
)
def test_help_shows_options_in_groups(words: list[str], groups: tuple[str, ...]) -> None:
    command: click.Command = main
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    assert isinstance(command, GroupedCommand)
    assert {getattr(option, "group", "Options") for option in command.params} == {*groups, "Options"}
    shown = CliRunner().invoke(main, [*words, "--help"]).output
    assert all(f"\n{group}:\n" in shown for group in groups)


def test_a_mistyped_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["trian"])
    assert result.exit_code == 2
    assert "No such command 'trian'" in result.output


def test_a_missing_data_set_is_said_in_one_line() -> None:
    result = CliRunner().invoke(main, ["train", "nowhere", "-o", "run"])
    assert result.exit_code == 1
    assert "nowhere: no such folder. Make a data set with" in result.output


def test_the_shell_completes_commands_and_options() -> None:
    for words, expected in (
        ("av1part enc", ["plain,encode", "plain,encoder"]),
        ("av1part run --pi", ["plain,--pipeline"]),
    ):
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_AV1PART_COMPLETE": "bash_complete"}
        command = [sys.executable, "-m", "av1part"]
        done = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=False)
        assert done.stdout.split() == expected


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_in_docs_is_what_the_commands_say(name: str) -> None:
    assert (ROOT / reference.FOLDER / name).read_text() == PAGES[name], f"run `{reference.COMMAND}`"


def test_every_command_is_in_the_reference() -> None:
    assert reference.missing() == set()
    text = "\n".join(PAGES.values())
    for said in ("## pipeline build", "## zoo\n", "| `--epochs N` |", "| `-o, --output PATH` |", "good\\|allintra"):
        assert said in text
