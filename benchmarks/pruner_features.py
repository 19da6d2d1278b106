"""What each kind of feature is worth to a pruner, offline: learnt on the training split, judged on the validation one.

A row a set of features: the same trees, all other features set to 0. At each price, every decision is judged as if it
were the only one: bits lost and time saved by the rows that would be skipped, both in percent of the pictures', and
their balance, price x time - loss, which is what the pruner maximises. The last row permutes all features between the
validation rows of a decision: a control that must lose.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from toolkit.pruners.features import Feature, known_at
from toolkit.pruners.learn import Examples, LearnConfig, examples, learn
from toolkit.pruners.pruner import Pruner
from toolkit.pruners.record import RecordedFrame, SearchSet

NEIGHBOURS = ("above_width", "above_height", "left_width", "left_height")
SYMBOLS = ("symbol_none", "symbol_split", "symbol_horz", "symbol_vert")
PARENT = ("parent_none", "quarter")


def sets_of(features: Sequence[Feature]) -> dict[str, tuple[str, ...]]:
    """Names of the features of each set."""
    node = tuple(f.name for f in features if f.point == 0)
    pixels = tuple(name for name in node if name not in (*NEIGHBOURS, *SYMBOLS, *PARENT))
    return {
        "variance and qindex": ("qindex", "variance"),
        "NONE's cost and qindex": ("qindex", "none_cost"),
        "pixels": pixels,
        "pixels, neighbours, symbols": (*pixels, *NEIGHBOURS, *SYMBOLS),
        "all that is known after NONE": tuple(f.name for f in features if f.point <= 1),
        "all": tuple(f.name for f in features),
    }


def only(frame: RecordedFrame, kept: np.ndarray) -> RecordedFrame:
    """The frame with all other features 0."""
    rows = frame.rows.copy()
    rows["features"][:, ~kept] = 0
    return replace(frame, rows=rows)


def balance(pruner: Pruner, frames: list[RecordedFrame], price: float, seed: int | None) -> tuple[float, float]:
    """Loss and time in percent of the pictures' bits and seconds; with a seed, features are permuted between rows."""
    pixels = sum(frame.pixels for frame in frames)
    lost = saved = 0.0
    for side, decision in pruner.loss:
        own: Examples = examples(frames, decision, known_at(pruner.features, decision)).of(side)
        features = own.features
        if seed is not None:
            features = features[np.random.default_rng(seed).permutation(len(features))]
        skip = pruner.loss[side, decision].predict(features) < np.log(price) + pruner.time[side, decision].predict(
            features
        )
        lost += own.loss[skip].sum() / pixels
        saved += own.time[skip].sum() / pixels
    return 100 * lost, 100 * saved


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--trees", default=40, show_default=True)
@click.option("--price", "prices", multiple=True, type=float, default=(0.02, 0.05), show_default=True)
def main(record: Path, trees: int, prices: tuple[float, ...]) -> None:
    """Print one Markdown table."""
    data = SearchSet.load(record)
    train, val = list(data.frames("train")), list(data.frames("val"))
    config = LearnConfig(trees=trees)
    click.echo("| features | " + " | ".join(f"price {p:g}: loss | time | balance" for p in prices) + " |")
    click.echo("|---|" + "---|" * 3 * len(prices))
    pruner = None
    for name, names in sets_of(data.features).items():
        kept = np.array([feature.name in names for feature in data.features])
        pruner = learn([only(frame, kept) for frame in train], data.features, config)
        row([only(frame, kept) for frame in val], pruner, name, prices, None)
    if pruner:
        row(val, pruner, "all, permuted between nodes", prices, 0)


def row(frames: list[RecordedFrame], pruner: Pruner, name: str, prices: tuple[float, ...], seed: int | None) -> None:
    """Print the table's row of one set."""
    cells = []
    for price in prices:
        lost, saved = balance(pruner, frames, price, seed)
        cells.append(f"{lost:.2f}% | {saved:.1f}% | {price * saved - lost:+.3f}")
    click.echo(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
