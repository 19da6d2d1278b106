"""What each kind of feature is worth to a pruner, offline: learnt on the training split, judged on the validation one.

A row a set of features: the same trees, which may look at no other. At each price, every decision is judged as if it
were the only one: bits lost and time saved by the rows that would be skipped, both in percent of the pictures', and
their balance, price x time - loss, which is what the pruner maximises. The last row permutes the features between the
nodes of a size in each validation picture: a control that must lose.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from integration.pruning.fit import simulate
from toolkit.pruners.learn import LearnConfig, learn
from toolkit.pruners.pruner import Pruner
from toolkit.pruners.record import RecordedFrame, SearchSet
from toolkit.search.table import SIDES, Feature

NEIGHBOURS = ("above_width", "above_height", "left_width", "left_height")
SYMBOLS = ("symbol_none", "symbol_split", "symbol_horz", "symbol_vert")
PARENT = ("parent_none", "quarter", "siblings_to_parent_none")
FRAME = ("frame_gradient", "frame_quarter_variance_least")


def sets_of(features: Sequence[Feature]) -> dict[str, tuple[str, ...]]:
    """Names of the features of each set."""
    node = tuple(f.name for f in features if f.point == 0)
    pixels = tuple(name for name in node if name not in (*NEIGHBOURS, *SYMBOLS, *PARENT, *FRAME))
    return {
        "variance and qindex": ("qindex", "variance"),
        "NONE's cost and qindex": ("qindex", "none_cost"),
        "pixels": pixels,
        "pixels, neighbours, symbols": (*pixels, *NEIGHBOURS, *SYMBOLS),
        "all but those of the frame": tuple(f.name for f in features if f.name not in FRAME),
        "all that is known after NONE": tuple(f.name for f in features if f.point <= 1),
        "all": tuple(f.name for f in features),
    }


def permuted(frame: RecordedFrame, rng: np.random.Generator) -> RecordedFrame:
    """The frame with its features dealt out anew among the nodes of each size."""
    rows = frame.rows.copy()
    for side in SIDES:
        own = np.flatnonzero(rows["side"] == side)
        rows["features"][own] = rows["features"][rng.permutation(own)]
    return replace(frame, rows=rows)


def table_head(prices: Sequence[float]) -> str:
    """First two lines of the Markdown table."""
    cells = " | ".join(f"loss at price {p:g} | time | balance" for p in prices)
    return f"| | {cells} |\n|---|{'---|' * 3 * len(prices)}"


def table_row(name: str, pruner: Pruner, frames: Sequence[RecordedFrame], prices: Sequence[float]) -> str:
    """The table's row of one pruner, judged on frames."""
    cells = []
    for price in prices:
        found = simulate(pruner.models, iter(frames), price, np.inf)
        alone = [own for name, own in found.items() if name != "together"]
        lost, saved = (sum(own[key] for own in alone) for key in ("loss_percent", "time_percent"))
        cells.append(f"{lost:.2f}% | {saved:.1f}% | {price * saved - lost:+.3f}")
    return f"| {name} | " + " | ".join(cells) + " |"


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--trees", default=40, show_default=True)
@click.option("--price", "prices", multiple=True, type=float, default=(0.02, 0.05), show_default=True)
def main(record: Path, trees: int, prices: tuple[float, ...]) -> None:
    """Print one Markdown table."""
    data = SearchSet.load(record)
    train, val = list(data.frames("train")), list(data.frames("val"))
    click.echo(table_head(prices))
    for name, names in sets_of(data.features).items():
        pruner = learn(train, data.features, LearnConfig(model="trees", trees=trees, features=names))
        click.echo(table_row(name, pruner, val, prices))
    rng = np.random.default_rng(0)
    click.echo(table_row("all, permuted between nodes", pruner, [permuted(frame, rng) for frame in val], prices))


if __name__ == "__main__":
    main()
