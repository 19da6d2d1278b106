"""Every long step shows how far it is, ends with the command that comes next, and says what a Ctrl-C keeps."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from toolkit.cli.main import commands, kept, main
from toolkit.data.blockset import BlockSet
from toolkit.progress import is_heard, listen, track
from toolkit.windows import Window


def test_steps_are_reported_to_whoever_listens() -> None:
    seen: list[tuple[str, int, int]] = []
    assert list(track("ab", "alone")) == ["a", "b"]
    with listen(lambda *report: seen.append(report)):
        assert is_heard()
        assert list(track("ab", "work")) == ["a", "b"]
    assert not is_heard()
    assert seen == [("work", 0, 2), ("work", 1, 2), ("work", 2, 2)]


def test_a_proof_reports_both_sides_and_an_export_its_comparison(
    trained: Path, exported: Path, blockset_8: Path, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    for words in (
        ["parity", bundle, blockset_8, "--limit", 30, "--provider", "cpu"],
        ["export", trained, "--epoch", 3, "-o", tmp_path / "again"],
    ):
        seen: set[str] = set()
        with listen(lambda what, done, total, seen=seen: seen.add(what)):  # type: ignore[misc]
            run = CliRunner().invoke(main, [str(w) for w in words])
        assert run.exit_code == 0, run.output
        assert {"in PyTorch", "in ONNX Runtime, batches of 64"} <= seen
        assert run.stderr.splitlines()[-1].startswith("Next: av1part p")


def test_calibration_and_inference_report(blockset_8: Path) -> None:
    from export.bundle.quantize import _Reader
    from integration.pipeline.inference import infer

    class Still:
        stages = ("2",)
        window = Window()

        def every(self, luma: Any, qindex: Any) -> dict[str, Any]:
            return {"2": np.zeros((len(luma), 3))}

    data, seen = BlockSet.load(blockset_8), set()
    with listen(lambda what, done, total: seen.add((what, done, total))):
        assert sum(1 for _ in _Reader(data.split_blocks("train", limit=100))) == 2
        infer(Still(), data, np.arange(40))  # type: ignore[arg-type]
    assert seen == {("calibrating", k, 2) for k in range(3)} | {("asking the models", k, 1) for k in range(2)}


def test_a_terminal_sees_a_bar_with_the_time_left(trained: Path, blockset_8: Path) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "toolkit.cli.main", "select", str(trained), "--data", str(blockset_8)]
    with subprocess.Popen(command, stderr=slave, stdout=subprocess.PIPE, env={**os.environ, "COLUMNS": "120"}) as run:
        os.close(slave)
        said = b""
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            said += part
    os.close(master)
    assert run.returncode == 0
    assert b"in PyTorch" in said
    assert b"ETA" in said
    assert said.decode().splitlines()[-1] == f"Next: av1part export {trained} -o BUNDLE"


def test_a_look_at_data_ends_with_the_next_step(blockset_8: Path) -> None:
    run = CliRunner().invoke(main, ["data", "info", str(blockset_8)])
    assert run.stderr == f"Next: av1part train {blockset_8} -o RUN\n"
    assert CliRunner().invoke(main, ["data", "info", str(blockset_8), "--json"]).stderr == ""


def test_an_interrupt_says_what_is_kept_and_how_to_go_on(blockset_8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: Path) -> BlockSet:
        raise KeyboardInterrupt

    monkeypatch.setattr(BlockSet, "load", interrupted)
    said = "Error: interrupted. Finished epochs are kept. Give the same command again with --resume to go on.\n"
    nothing = "Error: interrupted. Nothing was left half-written. Give the command again.\n"
    for words, expected in (
        (["train", str(blockset_8), "-o", "run"], said),
        (["data", "info", str(blockset_8)], nothing),
    ):
        run = CliRunner().invoke(main, words)
        assert run.exit_code == 1
        assert run.output == expected
    assert set(kept()) <= set(commands())
