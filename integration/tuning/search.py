"""Joint search of thresholds by what they lose and save according to recorded RD costs, without an encode."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from integration.pipeline.policy import TOP, Policy, Thresholds, answers
from integration.tuning.config import RULES
from integration.tuning.regret import Outcome, Regret
from toolkit.partition import HORZ_4, NODE, partitions_of
from toolkit.progress import track

OFF = Thresholds(
    none_only_above=1, drop_none_below=0, split_only_above=1, drop_split_below=0, drop_rect_below=0, drop_ab_below=0,
    drop_direction_below=0, drop_ab_kind_below=0, drop_four_way_below=0,
)  # fmt: skip
SHARES = (0.02, 0.05, *np.round(np.arange(0.1, 1, 0.1), 1).tolist(), 0.95, 0.98)
"""Shares of the nodes that a threshold may affect, at which its values are tried.

Values are chosen by shares, not by probability, because the probabilities of a model need not be calibrated.
"""
PRICES = (0.1, 1e5)
"""Lowest and highest price that is tried: the points of time saving that a percent of RD cost has to buy."""
STEPS = 24
_BELOW = {  # the stage and class that a threshold drops from below (None: every class but the most probable)
    "drop_ab_below": ("2", 2),
    "drop_rect_below": ("2", 1),
    "drop_split_below": ("2", 0),
    "drop_four_way_below": ("2", 1),
    "drop_none_below": ("1", 0),
    "drop_direction_below": ("3-rect", None),
    "drop_ab_kind_below": ("3-ab", None),
}
_ABOVE = {"split_only_above": ("2", 0), "none_only_above": ("1", 0)}
Probabilities = Mapping[str, NDArray[np.float64]]
Place = tuple[int, ...]


@dataclass(frozen=True)
class Point:
    """A policy and its outcome by the recorded costs."""

    policy: Policy
    outcome: Outcome


@dataclass(frozen=True)
class Nodes:
    """N nodes to search on: each stage's probabilities (N, classes), qindex, `policy.deviation` and recorded costs.

    `charge` is the CPU seconds of inference for each node that is asked about, `node` the nodes' side in pixels.
    """

    probabilities: Probabilities
    qindex: NDArray[np.uint8]
    deviation: NDArray[np.float64]
    regret: Regret
    charge: float = 0.0
    node: int = NODE

    def part(self, index: NDArray[np.int64]) -> "Nodes":
        """The nodes at `index`."""
        probabilities = {stage: p[index] for stage, p in self.probabilities.items()}
        regret = self.regret.part(index)
        return Nodes(probabilities, self.qindex[index], self.deviation[index], regret, self.charge, self.node)


class _Range:
    """The nodes of one range of qindex, and the outcomes of thresholds there, each computed once."""

    def __init__(self, nodes: Nodes, rules: Collection[str]) -> None:
        self._nodes, self._answers = nodes, answers(nodes.probabilities)
        self.values = {k: v for k, v in candidates(nodes).items() if k in rules or k == "flat_below"}
        self._known: dict[Place, Outcome] = {}

    def __len__(self) -> int:
        return len(self._nodes.qindex)

    def starts(self) -> list[Place]:
        """Places to start from: nothing removed, with every node asked about and, if possible, with half the flat ones
        left out."""
        nothing = (0,) * len(self.values)
        flat = len(self.values.get("flat_below", ())) // 2
        return [nothing, *([(flat, *nothing[1:])] if flat else [])]

    def thresholds(self, place: Place) -> Thresholds:
        chosen = zip(self.values.items(), place, strict=True)
        return replace(OFF, **{name: steps[k] for (name, steps), k in chosen})

    def outcome(self, place: Place) -> Outcome:
        if place not in self._known:
            asked = np.zeros(len(self), bool)

            def ask(stage: str, index: NDArray[np.int64]) -> NDArray[np.float64] | None:
                asked[index] = True
                return self._answers(stage, index)

            regret = self._nodes.regret
            outcome = regret.of_masks(self.thresholds(place).masks(self._nodes.deviation, ask, self._nodes.node))
            charge = self._nodes.charge * float(regret.time_weight[asked].sum())
            self._known[place] = outcome._replace(saving=outcome.saving - charge)
        return self._known[place]

    def ascend(self, price: float, place: Place) -> Place:
        """Climb from `place` to one that no change of a single threshold makes better, by saving - price * loss.

        Among equals the first is taken.
        """

        def worth(place: Place) -> float:
            outcome = self.outcome(place)
            return outcome.saving - price * outcome.loss

        before = None
        while place != before:
            before = place
            for k, steps in enumerate(self.values.values()):
                around = [(*place[:k], step, *place[k + 1 :]) for step in range(len(steps))]
                place = max((place, *around), key=worth)
        return place


class Search:
    """Search of policies along the frontier of RD cost lost and time saved: one price (Lagrangian) for all ranges.

    In each range, coordinate ascent moves all thresholds named in `rules`. It starts from nothing removed, with flat
    nodes asked about and without, and from the result at the last price. It is deterministic. A range of qindex without
    nodes gets the thresholds of the next range with some.
    """

    def __init__(self, nodes: Nodes, lasts: tuple[int, ...], rules: Collection[str] = RULES) -> None:
        number = np.searchsorted(lasts, nodes.qindex)
        with_nodes = np.unique(number)
        self._lasts = [*(lasts[k] for k in with_nodes[:-1]), TOP]
        self._ranges = [_Range(nodes.part(np.flatnonzero(number == k)), rules) for k in with_nodes]
        self._places: list[Place] = [r.starts()[0] for r in self._ranges]
        self._nodes = len(nodes.qindex)
        self.points: list[Point] = []
        self._given = (nodes, lasts, rules)

    @property
    def asking(self) -> float:
        """Percent of the encode's CPU time that it takes to ask the model about every node."""
        nodes = self._given[0]
        return nodes.charge * float(nodes.regret.time_weight.sum())

    def at_no_charge(self) -> "Search":
        """The same search, as if inference took no time."""
        nodes, lasts, rules = self._given
        return Search(replace(nodes, charge=0.0), lasts, rules)

    def at(self, price: float) -> Point:
        """Find the policy that saves most when a percent of RD cost is worth `price` points of time."""
        outcomes = []
        for k, part in enumerate(self._ranges):
            starts = (*part.starts(), self._places[k])
            ends = [part.ascend(price, start) for start in starts]
            self._places[k] = max(ends, key=lambda p: part.outcome(p).saving - price * part.outcome(p).loss)
            outcomes.append(part.outcome(self._places[k]))
        parts = zip(self._ranges, self._places, strict=True)
        policy = Policy(tuple(zip(self._lasts, (r.thresholds(place) for r, place in parts), strict=True)))
        lost = sum(o.lost * len(r) for o, r in zip(outcomes, self._ranges, strict=True)) / self._nodes
        point = Point(policy, Outcome(sum(o.loss for o in outcomes), sum(o.saving for o in outcomes), lost))
        if point not in self.points:
            self.points.append(point)
        return point

    def within(self, target: float) -> Point:
        """Bisect the price, and return the policy that saves most for at most `target` percent of RD cost.

        Where no policy fits, it is the one at the highest price.
        """
        low, high = np.log(PRICES)
        for _ in track(range(STEPS), "searching thresholds"):
            middle = (low + high) / 2
            if self.at(float(np.exp(middle))).outcome.loss > target:
                low = middle
            else:
                high = middle
        fitting = [p for p in self.points if p.outcome.loss <= target]
        return max(fitting or [self.at(PRICES[1])], key=lambda p: p.outcome.saving)


def candidates(nodes: Nodes) -> dict[str, list[float]]:
    """Values to try for each threshold whose stage is present, from off to those that affect more and more nodes.

    `flat_below` is among them only where asking costs time, for otherwise every node may be asked about.
    """
    probabilities, result = nodes.probabilities, {}
    if nodes.charge:
        result["flat_below"] = _steps(0.0, nodes.deviation, SHARES)
    for name, (stage, k) in _BELOW.items():
        if name == "drop_four_way_below" and HORZ_4 not in partitions_of(nodes.node):
            continue
        if stage in probabilities and (k is None or k < probabilities[stage].shape[1]):  # 8x8 nodes have no AB
            result[name] = _steps(0.0, _others(probabilities[stage], k), SHARES)
    for name, (stage, k) in _ABOVE.items():
        if stage in probabilities:
            p = probabilities[stage]
            result[name] = _steps(1.0, p[p.argmax(axis=1) == k, k], [1 - share for share in SHARES])
    return result


def _steps(off: float, values: NDArray[np.float64], shares: tuple[float, ...] | list[float]) -> list[float]:
    found = [float(f"{v:.4g}") for v in np.quantile(values, shares)] if values.size else []
    return list(dict.fromkeys([off, *found]))


def _others(p: NDArray[np.float64], k: int | None) -> NDArray[np.float64]:
    """Probabilities of class k (None: of every class) at the nodes where another class is more probable."""
    surest = np.arange(p.shape[1]) == p.argmax(axis=1, keepdims=True)
    result: NDArray[np.float64] = p[~surest] if k is None else p[~surest[:, k], k]
    return result
