"""Exit codes are those of docs/reference/contract.md: 0 done, 1 an error to mend or a failed gate, 2 wrong usage."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from toolkit.cli.main import commands, main


def code(*words: object) -> int:
    """The exit code; anything but a clean exit raises here."""
    run = CliRunner().invoke(main, [str(w) for w in words])
    assert run.exception is None or isinstance(run.exception, SystemExit), run.exception
    assert "Traceback" not in run.output
    return run.exit_code


@pytest.mark.parametrize("name", sorted(commands()))
def test_an_unknown_option_is_wrong_usage_everywhere(name: str) -> None:
    assert code(name, "--no-such-option") == 2


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["no-such-command"],
        ["bundle", "verify"],
        ["bundle", "sign", "x"],
        ["export", "x"],
        ["parity", "x"],
        ["pipeline", "build", "-o", "x"],
        ["pipeline", "build", "x", "-o", "y", "--provider", "tpu"],
        ["pipeline", "run", "x", "y", "-o", "z"],
        ["train", "x", "-o", "y", "--stage", "4"],
    ],
)
def test_wrong_usage_is_2(words: list[str]) -> None:
    assert code(*words) == 2


@pytest.mark.parametrize(
    "words",
    [
        ["bundle", "verify", "nowhere"],
        ["bundle", "info", "nowhere"],
        ["data", "info", "nowhere"],
        ["export", "nowhere", "-o", "y"],
        ["parity", "nowhere", "nowhere"],
        ["pipeline", "build", "nowhere", "-o", "y"],
        ["pipeline", "eval", "nowhere", "nowhere"],
        ["pipeline", "build", "nowhere", "-o", "y", "--policy", "drop_ab_below=2"],
        ["select", "nowhere"],
        ["train", "nowhere", "-o", "y"],
    ],
)
def test_what_a_user_can_mend_is_1(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert code(*words) == 1
    assert list(tmp_path.iterdir()) == []


def test_gates_are_0_or_1(exported: Path, blockset_8: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    assert code("bundle", "verify", bundle) == 0
    assert code("pipeline", "build", bundle, "-o", tmp_path / "p") == 1  # not proven
    assert code("parity", bundle, blockset_8, "--limit", 30, "--provider", "cpu") == 0
    assert code("pipeline", "build", bundle, "-o", tmp_path / "p") == 0
    assert code("parity", bundle, blockset_8, "--split", "train") == 1
    (bundle / "model.onnx").write_bytes(b"")
    for words in (
        ("bundle", "verify", bundle),
        ("parity", bundle, blockset_8),
        ("pipeline", "build", bundle, "-o", "q"),
    ):
        assert code(*words) == 1


def test_the_process_itself_ends_with_that_code_and_says_why_on_stderr(blockset_8: Path) -> None:
    for words, expected in (
        (["data", "info", str(blockset_8)], 0),
        (["bundle", "verify", "nowhere"], 1),
        (["bundle", "check"], 2),
    ):
        command = [sys.executable, "-m", "toolkit.cli.main", *words]
        run = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"})
        assert run.returncode == expected, run.stderr
        assert bool(run.stdout) == (expected == 0)
        assert ("Error: " in run.stderr) == (expected != 0)
        assert "Traceback" not in run.stderr
