"""A recorded search as a pruner would leave it: what is taken where, and what a decision still saves.

The record is of a search that nothing was taken from. A pruner takes something at nearly every square, so that a
decision about a large square saves less than the record says: much of what lies below would have been skipped anyway.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.pruners import targets
from toolkit.pruners.features import DECISIONS, EACH_AB, STAGES
from toolkit.pruners.pruner import Pruner
from toolkit.pruners.record import RecordedFrame

_ABS = [STAGES.index(name.removeprefix("no_")) for name in EACH_AB]
Taken = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class PrunedSearch:
    """What is left of a frame's search.

    `taken`: rows at which each decision is taken (rows,). `seconds` that are saved. `saves`: of these, what each
    decision would save at each row (rows,), with all others taken after and below it.
    """

    taken: Taken
    seconds: float
    saves: Mapping[str, NDArray[np.float64]]


def wanted(frame: RecordedFrame, pruner: Pruner, price: float) -> dict[str, NDArray[np.bool_]]:
    """Rows at which each decision pays at a price, by what was recorded there (rows,)."""
    found = {decision: np.zeros(len(frame.rows), bool) for decision in DECISIONS}
    for (side, decision), model in pruner.models.items():
        at = targets.reached(frame.rows, decision) & (frame.rows["side"] == side)
        if at.any():
            loss, time = model.predict(frame.rows["features"][at]).T
            found[decision][at] = loss < np.log(price) + time
    return found


def prune(frame: RecordedFrame, wants: Taken) -> PrunedSearch:
    """The frame's search where each decision is taken at the rows that `wants` says, as far as it comes to them."""
    rows = frame.rows
    seconds = rows["seconds"].astype(np.float64)
    each = np.stack([~wants[name] for name in EACH_AB], axis=1) * seconds[:, _ABS]
    saves = {"no_ab": each.sum(axis=1), "no_four_way": seconds[:, STAGES.index("four_way")]}
    saves |= {name: seconds[:, stage] for name, stage in zip(EACH_AB, _ABS, strict=True)}
    saves["no_rect"] = seconds[:, STAGES.index("rect")] + sum(
        np.where(wants[name], 0, saves[name]) for name in ("no_ab", "no_four_way")
    )
    after_split = np.where(wants["no_rect"], 0, saves["no_rect"])
    saves["no_split"], saves["no_more_split"], saved = _split(rows, seconds, after_split, wants)
    saves["stop"] = sum(np.where(wants[name], 0, saves[name]) for name in ("no_split", "no_rect"))
    comes_to, gives_up = _comes_to(rows, wants)
    searched = comes_to & ~wants["stop"]
    taken = {
        "stop": comes_to & wants["stop"],
        "no_split": searched & wants["no_split"],
        "no_more_split": gives_up,
        "no_rect": searched & wants["no_rect"],
    }
    searched = searched & ~wants["no_rect"]
    taken |= {name: searched & wants[name] for name in ("no_ab", "no_four_way")}
    taken |= {name: searched & ~wants["no_ab"] & wants[name] for name in EACH_AB}
    return PrunedSearch(taken, saved, saves)


def _split(
    rows: targets.Rows, seconds: NDArray[np.float64], after: NDArray[np.float64], wants: Taken
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Seconds that are left of SPLIT, those of a quarter with all after it (rows,), and what the frame saves.

    `after` are those that are left after SPLIT. Where libaom tries nothing but SPLIT, no end of a stage is seen and the
    square's own seconds are 0: its quarters' count.
    """
    parents, quarters = rows["parent"].tolist(), rows["quarter"].tolist()
    none, split = (seconds[:, STAGES.index(name)].tolist() for name in ("none", "split"))
    rest = seconds[:, STAGES.index("split") + 1 :].sum(axis=1).tolist()
    stop, no_split, no_more = (wants[name].tolist() for name in ("stop", "no_split", "no_more_split"))
    after_split = after.tolist()
    left, onwards = [0.0] * len(rows), [0.0] * len(rows)
    inside, inside_left = [0.0] * len(rows), [0.0] * len(rows)  # of the quarters looked at so far, the last first
    saved = 0.0
    for i in reversed(range(len(rows))):
        whole = none[i] + max(split[i], inside[i]) + rest[i]
        left[i] = max(split[i] - inside[i], 0.0) + inside_left[i]
        own = none[i] + (0 if stop[i] else after_split[i] + (0 if no_split[i] else left[i]))
        parent = parents[i]
        if parent < 0:
            saved += whole - own
            continue
        inside[parent] += whole
        onwards[i] = own + inside_left[parent]
        inside_left[parent] = 0.0 if no_more[i] and quarters[i] else onwards[i]
    return np.array(left), np.array(onwards), saved


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
    return np.array(searched), np.array(gives_up)
