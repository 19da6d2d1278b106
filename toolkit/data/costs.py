"""From the RD costs of AV1 partitions to what a wrong decision of a stage costs.

The encoder does not search everything to its end, so a class's regret is one of three:

- exact: the cheapest of its partitions was searched to the end;
- between bounds: its cheapest is one that was given up. It cost at least its lower bound and at most what another
  partition of the class, searched to the end, cost;
- unknown: nothing of it was tried.

Where it is not exact, the lower bound is mostly the best cost itself, hence a regret of 0: taken as it is, it would say
that a choice nobody looked into is free. So it counts as at least typical: the median regret that the class has
where it lost and was searched to the end, among the blocks at hand, within its bounds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.data.blockset import Blocks
from toolkit.data.format import bounded
from toolkit.errors import ToolkitError
from toolkit.partition import STAGES


class ClassRegret(NamedTuple):
    """What choosing each class costs beyond the stage's best one, as a share of that: `share` (N, classes), >= 0.

    Never NaN: what the encoder left open is filled in as the module says; `exact` (N, classes) is where nothing was.
    """

    share: NDArray[np.float32]
    exact: NDArray[np.bool_]


def class_regret(blocks: Blocks, stage: str) -> ClassRegret:
    """The regret of each class of a stage at each block.

    A block of which nothing at all was searched to the end has 0 at its label and the typical regret elsewhere. Raises
    ToolkitError where the blocks have no costs.
    """
    if blocks.costs is None:
        raise ToolkitError("These blocks have no RD costs. Label the sources again with `av1part label --with-costs`.")
    groups = STAGES[stage].groups
    rd = np.where(np.isnan(blocks.costs["rd"]), np.inf, blocks.costs["rd"]).astype(np.float64)
    lowest = _cheapest(rd, groups)
    highest = _cheapest(np.where(bounded(blocks.costs), np.inf, rd), groups)
    best = highest.min(1, keepdims=True)
    measured = np.isfinite(best)
    with np.errstate(invalid="ignore"):  # infinity less infinity: of blocks without any exact cost, set below
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


def regret_metrics(regret: ClassRegret, predictions: NDArray[np.int64]) -> dict[str, float]:
    """What decisions (N,) cost, JSON-ready, in percent of RD cost.

    `regret`: mean of the share at the decision; `regret_best_constant`: of the class that is cheapest to choose
    always; `regret_exact`: share of the decisions (0 to 1) whose regret was measured, not filled in.
    """
    chosen = np.arange(len(predictions)), predictions
    return {
        "regret": 100 * float(regret.share[chosen].mean(dtype=np.float64)),
        "regret_best_constant": 100 * float(regret.share.mean(0, dtype=np.float64).min()),
        "regret_exact": float(regret.exact[chosen].mean()),
    }


def _cheapest(rd: NDArray[np.float64], groups: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    return np.stack([rd[:, list(group)].min(1) for group in groups], 1)


def _typical(regret: NDArray[np.float64], exact: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Median exact regret (classes,) of the blocks where the class lost; of all classes where one never did; else 0."""
    lost = exact & (regret > 0)
    overall = float(np.median(regret[lost])) if lost.any() else 0.0
    return np.array([np.median(r[at]) if at.any() else overall for r, at in zip(regret.T, lost.T, strict=True)])
