"""Several processes train what one does: the same losses and gradients, but for the order in which floats are added.

Training amplifies that order without a bound: the optimiser makes a whole step of a gradient's sign, even where only
the last bit of a sum decides it. So losses and gradients are compared at weights that stand still, and the step where
the sign is sure.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.training import run_once, weights

from toolkit.data.blockset import BlockSet
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet
from toolkit.training.config import TrainConfig
from toolkit.training.run_folder import RunFolder
from toolkit.training.train import train

pytestmark = pytest.mark.timeout(600)  # two processes and their start are slow where others want the cores too
MODEL = ModelConfig("2", "small", dropout=0.0)
# Stage-1 start: batch-norm in eval throughout. Four views fit four frozen epochs: features are cached. 300 blocks
# in batches of 47 leave unequal shares to the processes, and a last batch of 18.
OPTIONS: dict[str, Any] = {
    "init": "stage1", "epochs": 5, "freeze_epochs": 4, "batch_size": 47, "lr": 1e-30, "lr_backbone": 1e-30,
    "device": "cpu", "limit_train": 300, "limit_val": 200,
}  # fmt: skip
PARAMETERS = len(list(PartitionNet(MODEL).parameters()))
ERROR = 1e-4
"""Largest difference of two gradients, as a share of a tensor's largest: a hundred times float32's own."""


@pytest.fixture(scope="module")
def stage1(data: BlockSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stage1") / "run"
    return run_once(data, path, "1", epochs=1, limit_train=300, limit_val=200).path


def alone(data: BlockSet, run: Path, stage1: Path, options: dict[str, Any]) -> RunFolder:
    train(data, RunFolder(run), MODEL, TrainConfig(**options), start=stage1)
    return RunFolder(run)


def two_processes(data: Path, run: Path, stage1: Path, options: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """As a user starts them: Fabric makes the other one."""
    command = [sys.executable, "-m", "toolkit.cli.main", "train", str(data), "-o", str(run), "--devices", "2"]
    command += [w for k, v in options.items() for w in (f"--{k.replace('_', '-')}", str(v))]
    command += ["--backbone", "small", "--dropout", "0", "--from", str(stage1)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=500)


def moments(run: RunFolder, name: str) -> list[np.ndarray]:
    """Of every weight that has learnt, AdamW's mean of gradients (`exp_avg`) or of their squares (`exp_avg_sq`)."""
    states = run.latest()["optimizer"]["state"]
    return [states[index][name].numpy() for index in sorted(states)]


@pytest.mark.numeric
@pytest.mark.parametrize("auxiliary", [pytest.param(0.0, marks=pytest.mark.long), 0.5])
def test_two_processes_find_the_losses_and_gradients_that_one_does(
    data: BlockSet, stage1: Path, tmp_path: Path, auxiliary: float
) -> None:
    """Rates of next to nothing leave the weights as they are; the optimiser adds up the gradients all the same."""
    options = OPTIONS | {"auxiliary": auxiliary}
    one, two = alone(data, tmp_path / "one", stage1, options), RunFolder(tmp_path / "two")
    done = two_processes(data.path, two.path, stage1, options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished.") == 1  # the first process alone speaks
    assert len(two.history()) == 5
    for a, b in zip(one.history(), two.history(), strict=True):
        assert (a["loss"], a["val_loss"]) == pytest.approx((b["loss"], b["val_loss"]), rel=1e-5)
        assert (a["macro_f1"], a["accuracy"]) == pytest.approx((b["macro_f1"], b["accuracy"]), abs=0.015)  # two ties
    for name in ("exp_avg", "exp_avg_sq"):
        ours, theirs = moments(one, name), moments(two, name)
        assert len(ours) == len(theirs) == PARAMETERS + 2 * bool(auxiliary)
        for a, b in zip(ours, theirs, strict=True):
            assert np.abs(a).max() > 0
            np.testing.assert_allclose(b, a, rtol=0, atol=ERROR * np.abs(a).max())


@pytest.mark.numeric
def test_one_step_of_two_processes_is_the_step_of_one(data: BlockSet, stage1: Path, tmp_path: Path) -> None:
    """Compared where the gradient is so far from 0 that its sign, and so the step, is sure."""
    still = OPTIONS | {"epochs": 1, "freeze_epochs": 0, "limit_train": 47}
    options = still | {"lr": 2e-3, "lr_backbone": 1e-3}
    before = weights(alone(data, tmp_path / "still", stage1, still), 1)
    one, two = alone(data, tmp_path / "one", stage1, options), RunFolder(tmp_path / "two")
    done = two_processes(data.path, two.path, stage1, options)
    assert done.returncode == 0, done.stderr
    after = [weights(run, 1) for run in (one, two)]
    names = [name for name, _ in PartitionNet(MODEL).named_parameters()]
    names.sort(key=lambda name: not name.startswith("backbone."))  # as the optimiser has them
    for name, gradient in zip(names, moments(one, "exp_avg"), strict=True):
        sure = np.abs(gradient) > 100 * ERROR * np.abs(gradient).max()
        ours, theirs = ((run[name] - before[name]).numpy()[sure] for run in after)
        rate = options["lr_backbone" if name.startswith("backbone.") else "lr"]
        assert np.abs(ours).min() > 0.9 * rate, name
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=0.01 * rate, err_msg=name)


def test_what_the_first_process_alone_can_find_out_stops_both_in_one_voice(
    data: BlockSet, stage1: Path, tmp_path: Path
) -> None:
    (tmp_path / "something").write_text("of somebody")
    done = two_processes(data.path, tmp_path, stage1, OPTIONS)
    assert done.returncode == 1
    assert done.stderr.count("is not empty") == 1, done.stderr
    assert "Traceback" not in done.stderr
