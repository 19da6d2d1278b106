"""Effect of defects known from earlier work: the same small setup trained with and without each of them.

    python benchmarks/defects.py DATA [--epochs 12] [--seeds 2] [--limit-train 8000] [--only NAME]

Every defect is planted from outside, by replacing parts of the product while a run trains. A run's best epoch is chosen
by the run's own scores. It is then scored by sound code on the true validation split, unless the defect also affects
the use of a model. Prints one Markdown table.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any
from unittest.mock import patch

import click
import numpy as np
import torch
from torch import Tensor

from toolkit.data.blockset import Blocks, BlockSet
from toolkit.model.augment import turn_each
from toolkit.model.checkpoint import load_checkpoint
from toolkit.model.config import ModelConfig
from toolkit.model.network import Standardise
from toolkit.partition import FLIP_LEFT_RIGHT, FLIP_UP_DOWN, HORZ, SPLIT, STAGES, VERT
from toolkit.training.config import TrainConfig
from toolkit.training.run_folder import RunFolder, best_epoch
from toolkit.training.selection import evaluate
from toolkit.training.train import train

Plant = Callable[[BlockSet], AbstractContextManager[Any]]


def nothing(data: BlockSet) -> AbstractContextManager[Any]:
    """Plant nothing: the sound product."""
    return nullcontext()


def scaled_twice(data: BlockSet) -> AbstractContextManager[Any]:
    """Divide luma by its maximum before the model, which divides again."""
    once = Standardise.forward
    maximum = (1 << data.bit_depth) - 1
    return patch.object(Standardise, "forward", lambda self, luma: once(self, luma / maximum))


@contextmanager
def permuted_ids(data: BlockSet) -> Iterator[None]:
    """Read labels as NONE, HORZ, VERT, SPLIT that were written as NONE, SPLIT, HORZ, VERT."""
    table = np.arange(256, dtype=np.uint8)
    table[[HORZ, VERT, SPLIT]] = SPLIT, HORZ, VERT
    sound = BlockSet.split_blocks

    def read(self: BlockSet, split: str, stage: str, *more: Any, **others: Any) -> Blocks:
        blocks = sound(self, split, stage, *more, **others)
        ids = table[blocks.partition]
        return replace(blocks, partition=ids, target=STAGES[stage].targets(ids))

    with patch.object(BlockSet, "split_blocks", read):
        yield


def split_by_block(data: BlockSet) -> AbstractContextManager[Any]:
    """Draw training and validation blocks from the same photographs, those of the training split."""

    def draw(
        self: BlockSet,
        split: str,
        stage: str,
        limit: int | None = None,
        seed: int = 0,
        window: Any = None,
    ) -> Blocks:
        index = np.random.default_rng(0).permutation(self.split_index("train", stage))
        part = index[: len(index) * 4 // 5] if split == "train" else index[len(index) * 4 // 5 :]
        return self.take(np.sort(part[:limit]), stage, window)

    return patch.object(BlockSet, "split_blocks", draw)


def wrong_flips(data: BlockSet) -> AbstractContextManager[Any]:
    """Swap HORZ_A and HORZ_B in left-right flips, and VERT_A and VERT_B in up-down flips."""
    operations = ((lambda x: torch.flip(x, (-1,)), FLIP_UP_DOWN), (lambda x: torch.flip(x, (-2,)), FLIP_LEFT_RIGHT))
    return patch("toolkit.model.augment._OPERATIONS", operations)


def turned_with_old_labels(data: BlockSet) -> AbstractContextManager[Any]:
    """Turn blocks by a quarter but keep their labels HORZ and VERT."""
    return patch("toolkit.model.augment._OPERATIONS", ((lambda x: torch.rot90(x, 1, (-2, -1)), np.arange(256)),) * 3)


def shuffled_patches(data: BlockSet) -> AbstractContextManager[Any]:
    """Put the four quarters of every training block into random order."""

    def shuffle(luma: Tensor, view: Tensor, kind: str) -> Tensor:
        blocks = turn_each(luma, view)
        n, half = len(blocks), blocks.shape[-1] // 2
        quarters = blocks.reshape(n, 2, half, 2, half).transpose(2, 3).reshape(n, 4, half, half)
        order = torch.rand(n, 4).argsort(1)
        mixed = quarters[torch.arange(n)[:, None], order].reshape(n, 2, 2, half, half)
        return mixed.transpose(2, 3).reshape(blocks.shape)

    return patch("toolkit.training.train.turn_each", shuffle)


@dataclass(frozen=True)
class Defect:
    """A defect, and how it is measured.

    `plant` replaces parts of the product while training. `shared` are options of both arms, `changed` of the defective
    one alone. `in_use`: the defect also affects the use of the model. `last`: score the last epoch, not the best.
    """

    name: str
    plant: Plant = nothing
    stage: str = "2"
    shared: dict[str, Any] = field(default_factory=dict)
    changed: dict[str, Any] = field(default_factory=dict)
    in_use: bool = False
    last: bool = False


_TRANSFER = {"init": "stage1", "lr_backbone": 1e-6}
DEFECTS = (
    Defect("luma scaled twice, in training and use", scaled_twice, in_use=True),
    Defect("luma scaled twice in training, once in use", scaled_twice),
    Defect("ids permuted between labels and use", permuted_ids),
    Defect("split by block, not by photograph", split_by_block),
    Defect("flips that swap the wrong AB labels", wrong_flips, "3-ab"),
    Defect("the same in Stage 2, which takes AB as one", wrong_flips),
    Defect("quarter turns that keep HORZ and VERT", turned_with_old_labels, "3-rect", {"augment": "dihedral"}),
    Defect("quarters of the block shuffled", shuffled_patches),
    Defect("batch-norm let go at unfreezing", shared=_TRANSFER, changed={"batch_norm": "train"}, last=True),
    Defect("balanced sampler and balanced loss", changed={"sampler": "balanced"}),
    Defect("no qindex", changed={"qindex": False}),
)


@dataclass(frozen=True)
class Bench:
    """The setup that all runs share. `runs` keeps what was trained, so that each sound arm is trained once."""

    data: BlockSet
    folder: Path
    backbone: str
    options: dict[str, Any]
    runs: dict[str, RunFolder] = field(default_factory=dict)

    def run(self, stage: str, plant: Plant, options: dict[str, Any], seed: int) -> RunFolder:
        """Train a run, or return it where it was trained before."""
        key = "-".join([stage, plant.__name__, *(f"{k}={v}" for k, v in sorted(options.items())), f"seed{seed}"])
        if key not in self.runs:
            click.echo(key, err=True)
            start = None
            if options.get("init") == "stage1":
                start = self.run("1", nothing, {}, seed).path
            chosen = {"init": "random", "seed": seed, "device": "cpu", **self.options, **options}
            model = ModelConfig(stage, self.backbone, chosen.pop("qindex", True), self.data.bit_depth)
            run = RunFolder(self.folder / key)
            with plant(self.data):
                train(self.data, run, model, TrainConfig(**chosen), start=start)
            self.runs[key] = run
        return self.runs[key]

    def score(self, defect: Defect, planted: bool, seed: int) -> tuple[float, float]:
        """Macro-F1 on the validation split, by sound code and as the run claims it."""
        plant = defect.plant if planted else nothing
        run = self.run(defect.stage, plant, defect.shared | (defect.changed if planted else {}), seed)
        history = run.history()
        entry = history[-1] if defect.last else best_epoch(history)
        assert entry is not None, f"{run.path}: no epoch has a macro-F1"
        blocks = self.data.split_blocks("val", defect.stage)
        with plant(self.data) if defect.in_use else nullcontext():
            found = evaluate(load_checkpoint(run.epoch_path(entry["epoch"])).model, blocks)[1]
        return float(found["macro_f1"]), float(entry["macro_f1"])


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--backbone", default="small", show_default=True)
@click.option("--epochs", default=12, show_default=True)
@click.option("--freeze-epochs", default=4, show_default=True, help="Where the backbone is from Stage 1.")
@click.option("--batch-size", default=128, show_default=True)
@click.option("--lr", default=2e-3, show_default=True)
@click.option("--limit-train", type=int, default=8000, show_default=True)
@click.option("--seeds", default=1, show_default=True)
@click.option("--only", help="Run only the defects whose name contains this.")
def main(data: Path, backbone: str, seeds: int, only: str | None, **options: Any) -> None:
    """Train with and without each defect on DATA, and print each defect's cost."""
    chosen = [d for d in DEFECTS if only is None or only in d.name]
    if not chosen:
        raise click.UsageError(f"No defect is called {only!r}: {'; '.join(d.name for d in DEFECTS)}.")
    blocks = BlockSet.load(data)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(blocks, Path(folder), backbone, options)
        rows = [_row(bench, defect, range(42, 42 + seeds)) for defect in chosen]
    shown = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in options.items())
    click.echo(f"{backbone} backbone, {seeds} seeds, {shown}; macro-F1 on the validation split, by photograph\n")
    click.echo(
        "| defect | stage | without | with | change | what the defective run claims |\n|---|---|---:|---:|---:|---:|"
    )
    click.echo("\n".join(rows))


def _row(bench: Bench, defect: Defect, seeds: range) -> str:
    sound, planted = ([bench.score(defect, p, seed) for seed in seeds] for p in (False, True))
    change = mean(t for t, _ in planted) - mean(t for t, _ in sound)
    without, with_, claimed = ([t for t, _ in sound], [t for t, _ in planted], [c for _, c in planted])
    name = defect.name + (" (last epoch)" if defect.last else "")
    return f"| {name} | {defect.stage} | {_spread(without)} | {_spread(with_)} | {change:+.3f} | {_spread(claimed)} |"


def _spread(values: list[float]) -> str:
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
