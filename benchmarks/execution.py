"""Training steps of the network with each option of how it is run, alone and together: in one run and in turn.

    python benchmarks/execution.py [--backbone NAME]... [--rounds N] [--threads N]

A batch of 128 through forward, backward and AdamW, run as `av1part train` runs it. Medians with quartiles; a ratio is
plain's time over the row's. Times are CPU seconds of the process (wall seconds on CUDA, where it waits for the device).
"""

import os
import sys
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before torch is imported

import click
import numpy as np
import torch
from timing import quartiles, row, seconds

from toolkit.model.config import ModelConfig
from toolkit.training.config import TrainConfig
from toolkit.training.speed import BATCH, stepper

CALLS = {"small": 15, "resnet18-se": 2}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "fused": {"fused": True},
    "channels-last": {"channels_last": True},
    "bf16": {"precision": "bf16-mixed"},
    "channels-last + fused": {"channels_last": True, "fused": True},
    "channels-last + bf16": {"channels_last": True, "precision": "bf16-mixed"},
    "channels-last + bf16 + fused": {"channels_last": True, "precision": "bf16-mixed", "fused": True},
}


def config(options: dict[str, Any], device: str) -> TrainConfig:
    return TrainConfig(init="random", device=device, **options)


def options_table(backbones: tuple[str, ...], rounds: int, device: str) -> None:
    """Print how much each option alone and some together give, over steps of one batch."""
    clock = 1 if device == "cpu" else 0
    unit = "blocks/s of CPU time" if clock else "blocks/s"
    print(f"\noptions, {device}: {unit} in training steps, and times faster than plain\n", flush=True)
    row("backbone", "options", unit, "ratio")
    row(*["---"] * 4)
    for backbone in backbones:
        sides = {name: stepper(ModelConfig("2", backbone), config(o, device), device) for name, o in OPTIONS.items()}
        for name, side in sides.items():
            print(f"{backbone}: {name}, first step {seconds(side)[clock]:.1f} s", file=sys.stderr, flush=True)
        calls = CALLS[backbone]
        table = np.array([[seconds(side, calls)[clock] for side in sides.values()] for _ in range(rounds)])
        for name, times in zip(sides, table.T, strict=True):
            row(backbone, name, quartiles(calls * BATCH / times), quartiles(table[:, 0] / times))


@click.command()
@click.option("--backbone", "backbones", multiple=True, type=click.Choice(list(CALLS)), default=tuple(CALLS))
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", default=1, show_default=True, help="Of PyTorch; one is steadier where cores are shared.")
def main(backbones: tuple[str, ...], rounds: int, threads: int) -> None:
    """Print one Markdown table a device; progress goes to stderr."""
    torch.set_num_threads(threads)
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, {threads} threads", flush=True)
    options_table(backbones, rounds, "cpu")
    if torch.cuda.is_available():
        options_table(backbones, rounds, "cuda")
    else:
        print("CUDA: not run: no CUDA", flush=True)


if __name__ == "__main__":
    main()
