"""A recorded search as a pruner would leave it: what is taken where, and what that loses and saves.

The record is of a search that nothing was taken from. Where a square's SPLIT is skipped, no decision below it is asked
any more, so that no second is saved twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from toolkit.pruners import targets
from toolkit.pruners.pruner import Key
from toolkit.pruners.record import RecordedFrame
from toolkit.search.table import DECISIONS, EACH_AB

Taken = Mapping[str, NDArray[np.bool_]]
"""Rows of a frame by decision (rows,)."""


class Model(Protocol):
    """What predicts the logs of loss and time (rows, 2) from features (rows, all features)."""

    def predict(self, features: NDArray[np.float32], /) -> NDArray[np.float64]: ...


Models = Mapping[Key, Model]


@dataclass(frozen=True)
class PrunedSearch:
    """Rows at which each decision is `taken`, and the `bits` that all lose and the CPU `seconds` that they save.

    Losses add up. That a decision changes what the next ones see is left out.
    """

    taken: Taken
    bits: float
    seconds: float


def wanted(frame: RecordedFrame, models: Models, price: float, most: float) -> dict[str, NDArray[np.bool_]]:
    """Rows at which each decision pays by what was recorded there (rows,); price and most as in the encoder."""
    found = {decision: np.zeros(len(frame.rows), bool) for decision in DECISIONS}
    for (side, decision), model in models.items():
        at = targets.reached(frame.rows, decision) & (frame.rows["side"] == side)
        if at.any():
            loss, time = model.predict(frame.rows["features"][at]).T
            found[decision][at] = (loss < np.log(price) + time) & (loss < np.log(most))
    return found


def prune(frame: RecordedFrame, wants: Taken) -> PrunedSearch:
    """The frame's search where each decision is taken at the rows that `wants` says, as far as it comes to them."""
    rows = frame.rows
    comes_to, gives_up = _comes_to(rows, wants)
    goes_on = comes_to & ~wants["stop"]
    tries_rectangles = goes_on & ~wants["no_rect"]
    taken = {
        "stop": comes_to & wants["stop"],
        "no_split": goes_on & wants["no_split"],
        "no_more_split": gives_up,
        "no_rect": goes_on & wants["no_rect"],
        "no_ab": tries_rectangles & wants["no_ab"],
        "no_four_way": tries_rectangles & wants["no_four_way"],
    }
    taken |= {name: tries_rectangles & ~wants["no_ab"] & wants[name] for name in EACH_AB}
    bits, seconds = (
        sum(float(of(rows, name)[at].sum()) for name, at in taken.items() if at.any())
        for of in (targets.losses, targets.times)
    )
    return PrunedSearch(taken, bits, seconds)


def _comes_to(rows: targets.Rows, wants: Taken) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows that are searched, and rows at which SPLIT of the square around them is given up (rows,)."""
    closed = (wants["stop"] | wants["no_split"]).tolist()
    no_more = wants["no_more_split"].tolist()
    searched, gives_up = [True] * len(rows), [False] * len(rows)
    for i, (parent, quarter) in enumerate(zip(rows["parent"].tolist(), rows["quarter"].tolist(), strict=True)):
        if parent < 0:
            continue
        searched[i] = searched[parent] and not closed[parent]
        if searched[i] and no_more[i] and quarter:
            gives_up[i], closed[parent] = True, True
            searched[i] = False
    return np.array(searched, bool), np.array(gives_up, bool)  # bool where a frame has no row as well
