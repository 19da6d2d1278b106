"""Regret of a stage's decisions: RD cost of the chosen class beyond that of the best class.

The encoder does not search every partition to the end, so that the regret of a class is one of three:

- exact: the cheapest partition of the class was searched to the end;
- between bounds: the search of the cheapest partition was cut short. Its cost lies between its lower bound and the cost
  of the cheapest partition of the class that was searched to the end;
- unknown: no partition of the class was tried.

A lower bound is mostly the best cost itself, which is a regret of 0. Taken as it is, it would make a choice free only
because nobody examined it. A regret that is not exact is therefore filled in, within its bounds, with a typical value:
the median exact regret of the class over those of the given blocks where the class was not the best.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from toolkit.data.blockset import Blocks
from toolkit.data.format import bounded
from toolkit.errors import ToolkitError
from toolkit.partition import STAGES, stage_of


class ClassRegret(NamedTuple):
    """Regret of each class at each block.

    `share` (N, classes): RD cost beyond the best class, as a share of the best class's cost; at least 0, never NaN,
    filled in as the module says. `exact` (N, classes): True where it was measured, not filled in.
    """

    share: NDArray[np.float32]
    exact: NDArray[np.bool_]


class RegretScores(TypedDict):
    """Regret of decisions.

    `regret`: mean, in percent of RD cost. `regret_best_constant`: the same for the class that is cheapest when always
    chosen. `regret_exact`: share of the decisions, 0 to 1, whose regret was measured, not filled in.
    """

    regret: float
    regret_best_constant: float
    regret_exact: float


def class_regret(blocks: Blocks, stage: str) -> ClassRegret:
    """Regret of each class of a stage at each block.

    A block without any partition searched to the end has regret 0 at its label and the typical regret elsewhere.
    Raises ToolkitError where the blocks have no costs.
    """
    if blocks.costs is None:
        raise ToolkitError("These blocks have no RD costs. Label the sources again with `av1part label --with-costs`.")
    groups = stage_of(stage, blocks.node).groups
    rd = np.where(np.isnan(blocks.costs["rd"]), np.inf, blocks.costs["rd"]).astype(np.float64)
    lowest = _cheapest(rd, groups)
    highest = _cheapest(np.where(bounded(blocks.costs), np.inf, rd), groups)
    best = highest.min(1, keepdims=True)
    measured = np.isfinite(best)
    with np.errstate(invalid="ignore"):  # infinity over infinity, at blocks without an exact cost: set below
        low, high = lowest / best - 1, highest / best - 1
    exact = measured & (lowest == highest) & np.isfinite(highest)
    typical = _typical(high, exact)
    regret = np.where(
        exact, high, np.clip(typical, np.where(np.isfinite(low), low, 0), np.where(measured, high, np.inf))
    )
    known = STAGES[stage].targets(blocks.partition)
    rows = np.flatnonzero(~measured[:, 0] & (known >= 0))
    regret[~measured[:, 0]] = typical
    regret[rows, known[rows]] = 0
    return ClassRegret(regret.astype(np.float32), exact)


def regret_metrics(regret: ClassRegret, predictions: NDArray[np.int64]) -> RegretScores:
    """Score decisions (N,), class indices of the stage, by their regret."""
    chosen = np.arange(len(predictions)), predictions
    return {
        "regret": 100 * float(regret.share[chosen].mean(dtype=np.float64)),
        "regret_best_constant": 100 * float(regret.share.mean(0, dtype=np.float64).min()),
        "regret_exact": float(regret.exact[chosen].mean()),
    }


def _cheapest(rd: NDArray[np.float64], groups: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    return np.stack([rd[:, list(group)].min(1) for group in groups], 1)


def _typical(regret: NDArray[np.float64], exact: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Median exact regret (classes,) where the class was not best; if none is exact, that of all classes; else 0."""
    lost = exact & (regret > 0)
    overall = float(np.median(regret[lost])) if lost.any() else 0.0
    return np.array([np.median(r[at]) if at.any() else overall for r, at in zip(regret.T, lost.T, strict=True)])
