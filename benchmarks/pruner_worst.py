"""What single decisions of a pruner really lose, where it only bounds what it expects: quantiles by node size.

    python benchmarks/pruner_worst.py RECORD PRUNER [--price 0.03]

Decisions that the pruner would take on the record's validation split, each as if it were the only one. Losses are in
average pixels of their picture, the unit of `most`; the last column is the greatest share of a picture's bits that one
decision loses.
"""

from pathlib import Path

import click
import numpy as np

from integration import zoo
from integration.pruning.bundle import PrunerBundle
from integration.pruning.prove import native_predictions
from toolkit.pruners import targets
from toolkit.pruners.record import SearchSet

QUANTILES = (0.9, 0.99, 0.999)


def taken(pruner: PrunerBundle, data: SearchSet, price: float, side: int) -> tuple[list[float], float]:
    """Losses of the decisions at one node size, in average pixels, and the greatest share of a picture's bits."""
    losses, share = list[float](), 0.0
    decisions = [name.rsplit("_", 1)[0] for name in pruner.manifest["validation"] if name.endswith(f"_{side}")]
    for frame in data.frames("val"):
        for decision in decisions:
            at = targets.reached(frame.rows, decision) & (frame.rows["side"] == side)
            loss, time = native_predictions(pruner.data, (side, decision), frame.rows["features"][at]).T
            skip = (loss < np.log(price) + time) & (loss < np.log(pruner.most))
            lost = targets.losses(frame.rows, decision)[at][skip]
            losses += (lost * frame.pixels / frame.bits).tolist()
            share = max(share, lost.max(initial=0) / frame.bits)
    return losses, share


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.argument("pruner", type=click.Path(path_type=Path))
@click.option("--price", type=float, help="[default: the pruner's own]")
def main(record: Path, pruner: Path, price: float | None) -> None:
    """Print one Markdown table."""
    data, opened = SearchSet.load(record), PrunerBundle.load(zoo.find(pruner))
    click.echo(
        f"| node size | decisions taken | {' | '.join(f'{q:.1%}' for q in QUANTILES)} | greatest | of its picture |"
    )
    click.echo(f"|---|{'---:|' * (len(QUANTILES) + 3)}")
    for side in sorted({int(name.rsplit("_", 1)[1]) for name in opened.manifest["validation"]}):
        losses, share = taken(opened, data, price or opened.price, side)
        cells = [f"{value:.1f}" for value in (*np.quantile(losses, QUANTILES), max(losses))]
        click.echo(f"| {side} | {len(losses):,} | {' | '.join(cells)} | {100 * share:.3f}% |")


if __name__ == "__main__":
    main()
