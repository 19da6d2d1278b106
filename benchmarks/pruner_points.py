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

from toolkit.pruners import targets
from toolkit.pruners.features import DECISIONS
from toolkit.pruners.learn import LearnConfig, learn
from toolkit.pruners.pruner import Pruner
from toolkit.pruners.record import RecordedFrame, SearchSet

FIVE = ("stop", "no_split", "no_rect", "no_ab", "no_four_way")
EACH_AB = ("no_horz_a", "no_horz_b", "no_vert_a", "no_vert_b")
TOGETHER = {
    "the five after a stage": FIVE,
    "these and no_more_split": (*FIVE, "no_more_split"),
    "these and each AB": (*FIVE, *EACH_AB),
    "all": DECISIONS,
}
SETS = {decision: (decision,) for decision in DECISIONS[:6]} | {"each AB by itself": EACH_AB} | TOGETHER


class Walk:
    """The search of one frame, with what every decision would lose and save and what a pruner expects of it."""

    def __init__(self, frame: RecordedFrame, pruner: Pruner) -> None:
        rows = frame.rows
        self._seconds = rows["seconds"].astype(np.float64) / frame.seconds
        self._children: list[list[int]] = [[] for _ in rows]
        self._roots = []
        for i, parent in enumerate(rows["parent"]):
            (self._children[parent] if parent >= 0 else self._roots).append(i)
        self._lost = {d: targets.losses(rows, d) / frame.bits for d in DECISIONS}
        self._saved = {d: targets.times(rows, d) / frame.seconds for d in DECISIONS}
        self._margin = {d: _margins(frame, pruner, d) for d in DECISIONS}

    def total(self, decisions: Sequence[str], price: float) -> NDArray[np.float64]:
        """Loss and saving (2,), as shares of the frame's bits and seconds."""
        taken = {d: (self._margin[d] < np.log(price)) & (d in decisions) for d in DECISIONS}
        return sum((self._square(i, taken) for i in self._roots), np.zeros(2))

    def _of(self, i: int, decision: str) -> NDArray[np.float64]:
        return np.array([self._lost[decision][i], self._saved[decision][i]])

    def _square(self, i: int, taken: dict[str, NDArray[np.bool_]]) -> NDArray[np.float64]:
        if taken["stop"][i]:
            return self._of(i, "stop")
        sums = self._of(i, "no_split") if taken["no_split"][i] else self._quarters(i, taken)
        if taken["no_rect"][i]:
            return sums + self._of(i, "no_rect")
        for d in ("no_ab",) if taken["no_ab"][i] else EACH_AB:
            if taken[d][i]:
                sums = sums + self._of(i, d)
        return sums + self._of(i, "no_four_way") if taken["no_four_way"][i] else sums

    def _quarters(self, i: int, taken: dict[str, NDArray[np.bool_]]) -> NDArray[np.float64]:
        sums = np.zeros(2)
        for child in self._children[i]:
            if taken["no_more_split"][child]:
                return sums + self._of(child, "no_more_split")
            sums = sums + self._square(child, taken)
        return sums


def _margins(frame: RecordedFrame, pruner: Pruner, decision: str) -> NDArray[np.float64]:
    """Log of the expected loss less that of the expected time (rows,); infinite where the decision is not asked."""
    found = np.full(len(frame.rows), np.inf)
    for side in {side for side, own in pruner.models if own == decision}:
        at = targets.reached(frame.rows, decision) & (frame.rows["side"] == side)
        if at.any():
            loss, time = pruner.models[side, decision].predict(frame.rows["features"][at]).T
            found[at] = loss - time
    return found


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--price", "prices", multiple=True, type=float, default=(0.02, 0.03, 0.05), show_default=True)
@click.option("--epochs", default=LearnConfig.epochs, show_default=True)
def main(record: Path, prices: tuple[float, ...], epochs: int) -> None:
    """Print one Markdown table."""
    data = SearchSet.load(record)
    config = LearnConfig(model="network", epochs=epochs, decisions=DECISIONS)
    pruner = learn(list(data.frames("train")), data.features, config)
    walks = [Walk(frame, pruner) for frame in data.frames("val")]
    cells = " | ".join(f"loss at price {p:g} | time | balance" for p in prices)
    click.echo(f"| | {cells} |\n|---|{'---:|' * 3 * len(prices)}")
    for name, decisions in SETS.items():
        row = []
        for price in prices:
            loss, time = 100 * np.mean([walk.total(decisions, price) for walk in walks], axis=0)
            row.append(f"{loss:.2f}% | {time:.1f}% | {price * time - loss:+.3f}")
        click.echo(f"| {name} | {' | '.join(row)} |")


if __name__ == "__main__":
    main()
