"""Our training loop against a plain one, both in one run and in turn, epoch by epoch.

    python benchmarks/training.py [--part tuned|frozen]... [--backbone NAME]... [--augment KIND]... [--rounds N]
    python benchmarks/training.py --field-run [--blocks N]

`tuned`: all weights learn. `frozen`: eight epochs of the head alone, ours from cached features. The plain loop is what
one writes first: a Dataset that turns one block at a time, a DataLoader with 0 or 2 workers, the same network, loss
and augmentation. Ours is the product's own `train`, without its evaluation. Medians with quartiles. `--field-run`: the
field's protocol, 30 epochs on 152,600 blocks, on a CUDA device; with `--blocks` a smaller one on any.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before torch is imported

import click
import numpy as np
import torch
from synthetic import write_noise
from timing import clocks, quartiles, row, seconds
from torch.utils.data import DataLoader, Dataset

from toolkit.data.blockset import Blocks, BlockSet
from toolkit.model.augment import turn, views
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet
from toolkit.partition import AUGMENTATIONS, FLIP_LEFT_RIGHT, FLIP_UP_DOWN, STAGES, TRANSPOSE
from toolkit.training.config import TrainConfig
from toolkit.training.losses import make_loss
from toolkit.training.run_folder import RunFolder
from toolkit.training.train import train

BATCH = 128
BLOCKS = {"small": 3840, "resnet18-se": 512}
FROZEN_EPOCHS = 8
FIELD_BLOCKS, FIELD_VAL, FIELD_SECONDS = 152_600, 38_256, 180


class PlainDataset(Dataset[tuple[torch.Tensor, torch.Tensor, int]]):
    """One block at a time, turned at random, as such data sets are written."""

    def __init__(self, blocks: Blocks, kind: str) -> None:
        self.blocks, self.views, self.classes = blocks, views(kind), STAGES["2"].targets(np.arange(256, dtype=np.uint8))

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor, int]:
        view, label = int(torch.randint(self.views, (1,))), int(self.blocks.partition[i])
        for bit, table in enumerate((FLIP_LEFT_RIGHT, FLIP_UP_DOWN, TRANSPOSE)):
            label = int(table[label]) if view >> bit & 1 else label
        luma = turn(torch.from_numpy(self.blocks.luma[i].astype(np.float32)), view)
        return luma, torch.tensor([float(self.blocks.qindex[i])]), int(self.classes[label])


def plain_epoch(blocks: Blocks, backbone: str, kind: str, workers: int, frozen: bool, device: str) -> Callable[[], Any]:
    """A function that trains one epoch the plain way."""
    model = PartitionNet(ModelConfig("2", backbone)).to(device).train()
    model.backbone.eval().requires_grad_(not frozen)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-4)
    loss_function = make_loss("cb-focal", torch.bincount(torch.from_numpy(blocks.target)), 0.9999, 2.0, 0.0).to(device)
    loader = DataLoader(PlainDataset(blocks, kind), BATCH, True, num_workers=workers, persistent_workers=workers > 0)

    def epoch() -> None:
        for luma, qindex, target in loader:
            loss = loss_function(model(luma.to(device), qindex.to(device)), target.to(device))
            loss.item()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def race(
    folder: Path, data: BlockSet, backbone: str, kind: str, count: int, frozen: bool, epochs: int, device: str
) -> np.ndarray:
    """(epochs, 3, 2): wall and CPU seconds of our loop and of the plain one with 0 and 2 workers, in turn."""
    blocks = data.split_blocks("train", "2", count)
    plain = [plain_epoch(blocks, backbone, kind, workers, frozen, device) for workers in (0, 2)]
    config = TrainConfig(
        init="stage1" if frozen else "random", epochs=epochs, freeze_epochs=epochs, batch_norm="eval", augment=kind,
        limit_train=count, limit_val=64, seed=0, device=device, lr=1e-4,
    )  # fmt: skip
    rows: list[list[np.ndarray]] = []
    begun: list[np.ndarray] = []

    def step(what: str, done: int, total: int) -> None:
        if done == 0 and not begun:
            begun.append(clocks())  # the first epoch; later ones begin where the one before was reported
        if done == total:
            rows.append([clocks() - begun[0]])

    def epoch(entry: dict[str, Any]) -> None:
        rows[-1] += [seconds(run) for run in plain]
        begun[:] = [clocks()]

    start = folder / f"stage1-{backbone}" if frozen else None
    folder.mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(dir=folder)) / "run"
    train(data, RunFolder(path), ModelConfig("2", backbone), config, start=start, on_step=step, on_epoch=epoch)
    return np.array(rows)


def loops(
    part: str,
    folder: Path,
    data: BlockSet,
    backbones: Sequence[str],
    kinds: Sequence[str],
    rounds: int,
    blocks: int | None,
    device: str,
) -> None:
    """Print the table of one part: ours against the plain loop."""
    frozen = part == "frozen"
    print(f"\n{part}, {device}: blocks/s of our loop, and how many times slower the plain one is\n", flush=True)
    row("backbone, augmentation", "ours", "plain, 0 workers", "the same in CPU time", "plain, 2 workers")
    row(*["---"] * 5)
    for backbone in backbones:
        if frozen:
            config = TrainConfig(init="random", epochs=1, limit_train=64, limit_val=64, device=device)
            train(data, RunFolder(folder / f"stage1-{backbone}"), ModelConfig("1", backbone), config)
        for kind in kinds or (AUGMENTATIONS if frozen else ("flips",)):
            if frozen:
                count, epochs = blocks or BLOCKS[backbone] // 2, FROZEN_EPOCHS
                races = [race(folder, data, backbone, kind, count, True, epochs, device) for _ in range(rounds)]
                table = np.array([r.sum(0) for r in races])
            else:  # without the first epoch, in which everything is met for the first time
                count, epochs = blocks or BLOCKS[backbone], 1
                table = race(folder, data, backbone, kind, count, False, rounds + 1, device)[1:]
            wall, cpu = table[..., 0], table[..., 1]  # the CPU time of workers is not this process's
            ratios = (wall[:, 1] / wall[:, 0], cpu[:, 1] / cpu[:, 0], wall[:, 2] / wall[:, 0])
            row(f"{backbone}, {kind}", quartiles(epochs * count / wall[:, 0]), *map(quartiles, ratios))


def field_run(folder: Path, blocks: int, device: str) -> None:
    """The field's Stage 2: 30 epochs, 8 of them frozen, ResNet-18, batch 128, flips, from a Stage 1."""
    data = BlockSet.load(write_noise(folder / "field", blocks, max(64, blocks * FIELD_VAL // FIELD_BLOCKS), none=True))
    first = RunFolder(folder / "stage1")
    small = TrainConfig(init="random", epochs=1, limit_train=256, limit_val=64, device=device)
    train(data, first, ModelConfig("1"), small)
    fast: dict[str, Any] = {"precision": "bf16-mixed", "channels_last": True, "fused": True}
    print(f"\nfield run, {device}, {blocks:,} blocks, {fast}", flush=True)

    def report(entry: dict[str, Any]) -> None:
        print(f"epoch {entry['epoch']}, {entry['phase']}: {entry['seconds']:.1f} s", file=sys.stderr, flush=True)

    begun = time.perf_counter()
    config = TrainConfig(device=device, **fast)
    train(data, RunFolder(folder / "run"), ModelConfig("2"), config, start=first.path, on_epoch=report)
    found = time.perf_counter() - begun
    goal = f"goal {FIELD_SECONDS} s" if blocks == FIELD_BLOCKS else "not the field's size: no verdict"
    print(f"{found:.1f} s in all ({goal})", flush=True)


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(("tuned", "frozen")))
@click.option("--backbone", "backbones", multiple=True, type=click.Choice(list(BLOCKS)), default=tuple(BLOCKS))
@click.option(
    "--augment", "kinds", multiple=True, type=click.Choice(AUGMENTATIONS), help="Default: tuned flips, frozen all."
)
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", default=1, show_default=True, help="Of PyTorch; one is steadier where cores are shared.")
@click.option("--field-run", "field", is_flag=True, help="The field's run instead.")
@click.option("--blocks", type=int, help="Training blocks, for a shorter run; also of the field's run, on any device.")
def main(
    parts: tuple[str, ...],
    backbones: tuple[str, ...],
    kinds: tuple[str, ...],
    rounds: int,
    threads: int,
    field: bool,
    blocks: int | None,
) -> None:
    """Print Markdown tables; progress goes to stderr."""
    cuda = torch.cuda.is_available()
    torch.set_num_threads(threads)
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, {threads} threads", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if field and (cuda or blocks):
            return field_run(folder, blocks or FIELD_BLOCKS, "cuda" if cuda else "cpu")
        if not cuda:
            print("CUDA: not run: no CUDA", flush=True)
        if field:
            return None
        data = BlockSet.load(write_noise(folder / "data", blocks or max(BLOCKS.values()), 256, none=True))
        for device in ("cpu", "cuda") if cuda else ("cpu",):
            for part in parts or ("tuned", "frozen"):
                loops(part, folder / device, data, backbones, kinds, rounds, blocks, device)
    return None


if __name__ == "__main__":
    main()
