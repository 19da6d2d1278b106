"""Several processes train what one does: the same metrics and weights, but for the order in which floats are added."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from toolkit.data.blockset import BlockSet
from toolkit.model.checkpoint import load_checkpoint
from toolkit.model.config import ModelConfig
from toolkit.training.config import TrainConfig
from toolkit.training.run_folder import RunFolder
from toolkit.training.train import train

LIMITS: dict[str, Any] = {"limit_train": 300, "limit_val": 200}
# Stage-1 start: batch-norm in eval throughout. Four views fit four frozen epochs: features are cached. 300 blocks
# in batches of 47 leave unequal shares to the processes, and a last batch of 18.
OPTIONS: dict[str, Any] = LIMITS | {
    "init": "stage1", "epochs": 5, "freeze_epochs": 4, "batch_size": 47, "lr": 2e-3, "lr_backbone": 1e-3,
    "device": "cpu",
}  # fmt: skip


def two_processes(data: Path, run: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """As a user starts them: Fabric makes the other one."""
    command = [sys.executable, "-m", "toolkit.cli.main", "train", str(data), "-o", str(run), "--devices", "2", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=250)


def scores(run: Path) -> list[dict[str, Any]]:
    return [{k: e[k] for k in ("loss", "val_loss", "macro_f1", "accuracy")} for e in RunFolder(run).history()]


@pytest.mark.slow
@pytest.mark.parametrize("auxiliary", [0.0, 0.5])
def test_two_processes_train_what_one_does(blockset_8: Path, tmp_path: Path, auxiliary: float) -> None:
    options = OPTIONS | {"auxiliary": auxiliary}
    data, stage1, one, two = BlockSet.load(blockset_8), tmp_path / "stage1", tmp_path / "one", tmp_path / "two"
    first = TrainConfig(init="random", epochs=1, device="cpu", **LIMITS)
    train(data, RunFolder(stage1), ModelConfig("1", "small"), first)
    train(data, RunFolder(one), ModelConfig("2", "small", dropout=0.0), TrainConfig(**options), start=stage1)
    words = [w for k, v in options.items() for w in (f"--{k.replace('_', '-')}", str(v))]
    words += ["--backbone", "small", "--dropout", "0", "--from", str(stage1)]
    done = two_processes(blockset_8, two, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished.") == 1  # the first process alone speaks
    assert len(scores(two)) == 5
    for a, b in zip(scores(one), scores(two), strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5)
    alone, together = (load_checkpoint(RunFolder(r).epoch_path(5)).model.state_dict() for r in (one, two))
    for name, value in alone.items():
        assert together[name].float().numpy() == pytest.approx(value.float().numpy(), rel=1e-3, abs=1e-4), name

    # What only the first process can find out stops both, in one voice.
    again = two_processes(blockset_8, two, *words)
    assert again.returncode == 1
    assert again.stderr.count("is not empty") == 1, again.stderr
    assert "Traceback" not in again.stderr
