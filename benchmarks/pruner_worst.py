"""What single decisions of a pruner really lose, where it only bounds what it expects: quantiles by node size.

    python benchmarks/pruner_worst.py RECORD PRUNER [--price 0.03] [--split test]

Decisions that the pruner would take on a split of the record, each as if it were the only one. Losses are in
average pixels of their picture, the unit of `most`; the last column is the greatest share of a picture's bits that one
decision loses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from integration import zoo
from integration.pruning.bundle import PrunerBundle
from integration.pruning.prove import NativeModel
from toolkit.pruners import targets
from toolkit.pruners.record import RecordedFrame, SearchSet

QUANTILES = (0.9, 0.99, 0.999)


@dataclass(frozen=True)
class Taken:
    """Decisions that a pruner takes at one node size, each as if it were the only one.

    `losses` in average pixels. `worst`: the greatest share of a picture's bits that one loses. `loss`, `time`: what all
    lose and save, in shares of a picture's bits and CPU time, averaged over pictures.
    """

    losses: list[float]
    worst: float
    loss: float
    time: float


def taken(pruner: PrunerBundle, frames: Sequence[RecordedFrame], price: float, side: int) -> Taken:
    """Decisions of the pruner at a price on these pictures."""
    losses, shares, saved = list[float](), list[float](), 0.0
    compared = pruner.manifest["proof"]["comparisons"]
    decisions = [own["decision"] for own in compared if own["side"] == side]
    for frame in frames:
        for decision in decisions:
            at = targets.reached(frame.rows, decision) & (frame.rows["side"] == side)
            loss, time = NativeModel(pruner.data, (side, decision)).predict(frame.rows["features"][at]).T
            skip = (loss < np.log(price) + time) & (loss < np.log(pruner.most))
            lost = targets.losses(frame.rows, decision)[at][skip]
            losses += (lost * frame.pixels / frame.bits).tolist()
            shares += (lost / frame.bits).tolist()
            saved += targets.times(frame.rows, decision)[at][skip].sum() / frame.seconds
    return Taken(losses, max(shares, default=0), sum(shares) / len(frames), saved / len(frames))


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.argument("pruner", type=click.Path(path_type=Path))
@click.option("--price", type=float, help="[default: the pruner's own]")
@click.option("--split", default="val", show_default=True, type=click.Choice(("val", "test")))
def main(record: Path, pruner: Path, price: float | None, split: str) -> None:
    """Print one Markdown table, and what all decisions together lose and save."""
    opened = PrunerBundle.load(zoo.find(pruner))
    frames = list(SearchSet.load(record).frames(split))
    click.echo(
        f"| node size | decisions taken | {' | '.join(f'{q:.1%}' for q in QUANTILES)} | greatest | of its picture |"
    )
    click.echo(f"|---|{'---:|' * (len(QUANTILES) + 3)}")
    found = dict[int, Taken]()
    for side in sorted({compared["side"] for compared in opened.manifest["proof"]["comparisons"]}):
        own = found[side] = taken(opened, frames, price or opened.price, side)
        cells = [f"{value:.1f}" for value in (*np.quantile(own.losses or [0], QUANTILES), max(own.losses, default=0))]
        click.echo(f"| {side} | {len(own.losses):,} | {' | '.join(cells)} | {100 * own.worst:.3f}% |")
    lost, saved = (100 * sum(getattr(own, name) for own in found.values()) for name in ("loss", "time"))
    click.echo(f"\nAll of {len(frames)} pictures: {lost:.3f}% of the bits for {saved:.2f}% of the time")


if __name__ == "__main__":
    main()
