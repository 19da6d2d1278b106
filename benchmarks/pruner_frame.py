"""What features of the whole frame would be worth to a pruner: how plain a picture is decides what its losses count.

    python benchmarks/pruner_frame.py RECORD

Loss is counted in average pixels of the picture, and without two features no feature of a node says what the rest of
the picture is like. Two networks a node size and decision, learnt on the training split: with these two set to 0, and
with them. Judged on the validation split, each decision as if it were the only one, in percent of the pictures' bits
and CPU time.
"""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from toolkit.pruners import targets
from toolkit.pruners.fit_network import fit_network
from toolkit.pruners.learn import LearnConfig
from toolkit.pruners.record import RecordedFrame, SearchSet
from toolkit.search.table import DECISIONS, Feature, known_at

OF_THE_FRAME = ("frame_gradient", "frame_quarter_variance_least")
Table = list[tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]]


def examples(
    frames: Sequence[RecordedFrame], features: tuple[Feature, ...], side: int, decision: str, with_frame: bool
) -> Table:
    """Features (N, columns), loss and time (N,) in average pixels of every frame, at which the decision was reached."""
    found = []
    of_the_frame = [i for i, feature in enumerate(features) if feature.name in OF_THE_FRAME]
    for frame in frames:
        at = targets.reached(frame.rows, decision) & (frame.rows["side"] == side)
        own = frame.rows["features"][at][:, : known_at(features, decision)]
        if not with_frame:
            own[:, of_the_frame] = 0
        loss = targets.losses(frame.rows, decision)[at] * frame.pixels / frame.bits
        found.append(
            (np.ascontiguousarray(own), loss, targets.times(frame.rows, decision)[at] * frame.pixels / frame.seconds)
        )
    return found


def judged(
    train: Sequence[RecordedFrame],
    val: Sequence[RecordedFrame],
    features: tuple[Feature, ...],
    prices: Sequence[float],
    with_frame: bool,
    epochs: int,
) -> NDArray[np.float64]:
    """Loss, expected loss and time saved of every price and picture (prices, pictures, 3), as shares."""
    config = LearnConfig()
    total = np.zeros((len(prices), len(val), 3))
    for side in config.sides:
        for decision in DECISIONS:
            inputs, loss, time = (
                np.concatenate(p) for p in zip(*examples(train, features, side, decision, with_frame), strict=True)
            )
            if len(loss) < config.least_rows or not loss.any() or not time.any():
                continue
            network = fit_network(inputs, loss, time, epochs, config.seed)
            for picture, (own, lost, saved) in enumerate(examples(val, features, side, decision, with_frame)):
                expected, seconds = network.predict(own).T if len(own) else np.zeros((2, 0))
                for number, price in enumerate(prices):
                    skip = expected < np.log(price) + seconds
                    sums = lost[skip].sum(), np.exp(expected[skip]).sum(), saved[skip].sum()
                    total[number, picture] += np.array(sums) / val[picture].pixels
    return total


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--price", "prices", multiple=True, type=float, default=(0.02, 0.03, 0.05), show_default=True)
@click.option("--epochs", default=LearnConfig.epochs, show_default=True)
def main(record: Path, prices: tuple[float, ...], epochs: int) -> None:
    """Print one Markdown table."""
    data = SearchSet.load(record)
    train, val = list(data.frames("train")), list(data.frames("val"))
    click.echo("| features | price | loss | time | balance | most that a picture loses | expected there |")
    click.echo("|---|---:|---:|---:|---:|---:|---:|")
    for name, with_frame in (("all but two of the frame", False), ("all", True)):
        for price, own in zip(prices, judged(train, val, data.features, prices, with_frame, epochs), strict=True):
            loss, _, time = 100 * own.mean(0)
            worst = own[np.argmax(own[:, 0])]
            click.echo(
                f"| {name} | {price:g} | {loss:.2f}% | {time:.1f}% | {price * time - loss:+.3f} | {worst[0]:.2%} | "
                f"{worst[1]:.2%} |"
            )


if __name__ == "__main__":
    main()
