"""What a decision would have cost and saved, computed from the record of a whole search.

The loss of a decision counts at the root of the search tree: a node's own regret matters only where the node lies on
the chosen path, and at most as much as the next best choice of any square around it would have cost instead.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.partition import HORZ_4, HORZ_A, HORZ_B, NONE, SPLIT, VERT_4, VERT_A, VERT_B
from toolkit.search.table import DECISIONS, STAGES

Rows = NDArray[Any]
"""Rows of one frame's search, as the hook records them: a parent before its quarters, costs in bits (NaN: unknown)."""
_LOST = {
    "no_split": (SPLIT,),
    "no_ab": (HORZ_A, HORZ_B, VERT_A, VERT_B),
    "no_four_way": (HORZ_4, VERT_4),
    "no_horz_a": (HORZ_A,),
    "no_horz_b": (HORZ_B,),
    "no_vert_a": (VERT_A,),
    "no_vert_b": (VERT_B,),
}
_STAGES = {
    "stop": STAGES[1:],
    "no_split": ("split",),
    "no_rect": STAGES[2:],
    "no_ab": STAGES[3:7],
    "no_four_way": ("four_way",),
    "no_horz_a": ("horz_a",),
    "no_horz_b": ("horz_b",),
    "no_vert_a": ("vert_a",),
    "no_vert_b": ("vert_b",),
}


def loss_caps(rows: Rows) -> NDArray[np.float64]:
    """Most that a wrong decision at each row can cost the frame, in bits (rows,); 0 off the chosen path."""
    bits = np.where(np.isnan(rows["bits"]), np.inf, rows["bits"].astype(np.float64))
    others = np.delete(bits, SPLIT, axis=1).min(axis=1)
    split = rows["partition"] == SPLIT
    slack = np.full(len(rows), -1.0)
    slack[split] = others[split] - bits[split, SPLIT]
    caps = np.where(rows["partition"] <= VERT_4, np.inf, 0.0)
    for i, parent in enumerate(rows["parent"]):
        if parent >= 0:
            caps[i] = min(caps[i], caps[parent], max(slack[parent], 0.0))
    return caps


def losses(rows: Rows, decision: str) -> NDArray[np.float64]:
    """Bits that the frame would have lost by the decision at each row (rows,), 0 or more.

    RD costs divided by rdmult are bits, so that distortion counts at the encoder's own exchange rate. What was not
    searched to its end counts as no alternative; where nothing else was, the square's whole cost is lost. At a quarter
    `no_more_split` loses what `no_split` does around it.
    """
    if decision == "no_more_split":
        around = losses(rows, "no_split")
        return np.where(rows["parent"] >= 0, around[rows["parent"]], 0.0)
    bits = np.where(np.isnan(rows["bits"]), np.inf, rows["bits"].astype(np.float64))
    best = bits.min(axis=1)
    if decision == "stop":
        left = bits[:, NONE]
    elif decision == "no_rect":
        left = np.minimum(bits[:, NONE], bits[:, SPLIT])
    else:
        left = np.delete(bits, _LOST[decision], axis=1).min(axis=1)
    with np.errstate(invalid="ignore"):
        own = np.where(np.isfinite(best), left - best, 0.0)
    capped = np.minimum(own, loss_caps(rows))
    return np.where(np.isinf(capped), best, capped)


def times(rows: Rows, decision: str) -> NDArray[np.float64]:
    """CPU seconds that the decision would have saved at each row (rows,)."""
    if decision == "no_more_split":
        return _from_here_on(rows)
    stages = [STAGES.index(stage) for stage in _STAGES[decision]]
    return np.asarray(rows["seconds"][:, stages].sum(axis=1), np.float64)


def _from_here_on(rows: Rows) -> NDArray[np.float64]:
    """CPU seconds of each square and of those quarters of the square around it that are searched after it (rows,)."""
    own = rows["seconds"].sum(axis=1, dtype=np.float64)
    by_quarter = np.zeros((len(rows), 4))
    inside = np.flatnonzero(rows["parent"] >= 0)
    by_quarter[rows["parent"][inside], rows["quarter"][inside]] = own[inside]
    onwards = by_quarter[:, ::-1].cumsum(axis=1)[:, ::-1]
    return np.asarray(np.where(rows["parent"] >= 0, onwards[rows["parent"], rows["quarter"]], own), np.float64)


def reached(rows: Rows, decision: str) -> NDArray[np.bool_]:
    """Rows at which the decision could have been taken (rows,)."""
    return (rows["reached"] >> DECISIONS.index(decision) & 1).astype(bool)
