"""Small training runs, and what they left."""

from pathlib import Path
from typing import Any

import torch

from toolkit.data.blockset import BlockSet
from toolkit.model.checkpoint import load_checkpoint
from toolkit.model.config import ModelConfig
from toolkit.training.config import TrainConfig
from toolkit.training.run_folder import RunFolder
from toolkit.training.train import train

FAST: dict[str, Any] = {"init": "random", "epochs": 3, "batch_size": 64, "device": "cpu", "lr": 2e-3}


def run_once(data: BlockSet, path: Path, stage: str = "2", start: Path | None = None, **changes: Any) -> RunFolder:
    run = RunFolder(path)
    train(data, run, ModelConfig(stage, "small", bit_depth=data.bit_depth), TrainConfig(**FAST | changes), start=start)
    return run


def weights(run: RunFolder, epoch: int) -> dict[str, torch.Tensor]:
    return load_checkpoint(run.epoch_path(epoch)).model.state_dict()


def measured(run: RunFolder) -> list[dict[str, Any]]:
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in run.history()]


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {k for k in before if not torch.equal(before[k], after[k])}
