"""What each decision of a pruner is worth, alone and together, on a record of the search.

    python benchmarks/pruner_points.py RECORD

One small network for each decision and node size is learnt on the training split. On every recorded frame of the
validation split the search is then walked as the decisions would leave it: what lies below a square whose SPLIT is
skipped is not searched, so that no second is saved twice. Losses of several decisions are added up. A row is a set of
decisions: what it loses of the pictures' bits, what it saves of their CPU time, and the balance, price x time - loss,
which is what a pruner maximises. It is no forecast of an encode: that a decision changes what the next ones see is left
out.
"""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from toolkit.pruners.learn import LearnConfig, learn
from toolkit.pruners.pruned_search import prune, wanted
from toolkit.pruners.pruner import Pruner
from toolkit.pruners.record import RecordedFrame, SearchSet
from toolkit.search.table import DECISIONS, EACH_AB, USUAL

TOGETHER = {
    "the usual five": USUAL,
    "these and no_more_split": (*USUAL, "no_more_split"),
    "these and each AB": (*USUAL, *EACH_AB),
    "all": DECISIONS,
}
SETS = (
    {decision: (decision,) for decision in DECISIONS if decision not in EACH_AB}
    | {"each AB by itself": EACH_AB}
    | TOGETHER
)


def judged(frame: RecordedFrame, pruner: Pruner, decisions: Sequence[str], price: float) -> NDArray[np.float64]:
    """Loss and saving (2,), as shares of the frame's bits and seconds."""
    wants = {d: own & (d in decisions) for d, own in wanted(frame, pruner.models, price, np.inf).items()}
    search = prune(frame, wants)
    return np.array([search.bits / frame.bits, search.seconds / frame.seconds])


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--price", "prices", multiple=True, type=float, default=(0.02, 0.03, 0.05), show_default=True)
@click.option("--epochs", default=LearnConfig.epochs, show_default=True)
def main(record: Path, prices: tuple[float, ...], epochs: int) -> None:
    """Print one Markdown table."""
    data = SearchSet.load(record)
    config = LearnConfig(epochs=epochs, decisions=DECISIONS)
    pruner = learn(list(data.frames("train")), data.features, config)
    val = list(data.frames("val"))
    cells = " | ".join(f"loss at price {p:g} | time | balance" for p in prices)
    click.echo(f"| | {cells} |\n|---|{'---:|' * 3 * len(prices)}")
    for name, decisions in SETS.items():
        row = []
        for price in prices:
            loss, time = 100 * np.mean([judged(frame, pruner, decisions, price) for frame in val], axis=0)
            row.append(f"{loss:.2f}% | {time:.1f}% | {price * time - loss:+.3f}")
        click.echo(f"| {name} | {' | '.join(row)} |")


if __name__ == "__main__":
    main()
