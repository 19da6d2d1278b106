"""From the stages' probabilities to the partitions that the encoder may still search.

In an encoder C applies these rules (libaom/policy.c). Here they are once more for recorded blocks, by which policies
are scored and fitted where no libaom is built; a test holds the two to the same masks.

A policy can only remove partitions. Its errors are not equally dear: removing the partition that the encoder would have
chosen costs bytes, keeping one that it would not have chosen costs a little time.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from toolkit.data.blockset import Luma
from toolkit.errors import ToolkitError
from toolkit.partition import (
    HORZ,
    HORZ_4,
    HORZ_A,
    HORZ_B,
    NONE,
    SPLIT,
    STAGES,
    VERT,
    VERT_4,
    VERT_A,
    VERT_B,
    partitions_of,
    stage_of,
)
from toolkit.windows import Window

ALL = 0x3FF
"""Mask that allows every AV1 partition id."""

Ask = Callable[[str, NDArray[np.int64]], NDArray[np.float64] | None]
"""Function from a stage and block numbers (M,) to its probabilities (M, classes), or None where there is no such stage.
"""


def answers(probabilities: Mapping[str, NDArray[np.float64]]) -> Ask:
    """`Ask` of stages whose probabilities (N, classes) of all blocks are known already, by stage."""
    return lambda stage, index: probabilities[stage][index] if stage in probabilities else None


def deviation(luma: Luma, bit_depth: int, window: Window) -> NDArray[np.float64]:
    """Standard deviation (N,) of the nodes in the middle of windows (N, 1, S, S), as a share of full scale.

    It ranges from 0 (all pixels equal) to 0.5. Sums are of integers, so that every machine gives the same value. It
    tells how flat a node is before any network is asked, and is cheap to compute for a whole frame.
    """
    inside = slice(window.context, window.context + window.node)
    nodes = luma[:, 0, inside, inside].reshape(len(luma), window.node**2).astype(np.uint32)
    count = nodes.shape[1]
    total = nodes.sum(axis=1, dtype=np.uint64).astype(np.int64)
    # At 16 bit a square just fits 32 bits; the sum of squares needs 64.
    squares = np.einsum("nk,nk->n", nodes, nodes, dtype=np.uint64).astype(np.int64)
    result: NDArray[np.float64] = np.sqrt(count * squares - total * total) / (count * ((1 << bit_depth) - 1))
    return result


def bits(*partitions: int) -> int:
    """Mask that allows these AV1 ids."""
    return sum(1 << p for p in set(partitions))


_AB, _INPUTS = bits(HORZ_A, HORZ_B, VERT_A, VERT_B), bits(SPLIT, HORZ, VERT)


def with_inputs_of_ab(masks: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Masks with SPLIT, HORZ and VERT put back wherever an AB is still allowed.

    libaom searches an AB only where it also searches the rectangle of that direction, and chooses which ABs to search
    by the costs of SPLIT and of both rectangles. Without these costs it chooses badly: under a perfect mask this alone
    costs 0.3 to 0.5% of BD-rate, everything else together 0.03% (docs/explanation/masks.md).
    """
    result: NDArray[np.uint16] = np.where(masks & _AB, masks | _INPUTS, masks).astype(np.uint16)
    return result


def without_lone_four_way(masks: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Masks without HORZ_4 where HORZ is removed, and without VERT_4 where VERT is.

    libaom searches a 4-way partition only where it also searches the rectangle of its direction.
    """
    result = np.where(masks & bits(HORZ), masks, masks & ~np.uint16(bits(HORZ_4)))
    result = np.where(masks & bits(VERT), result, result & ~np.uint16(bits(VERT_4)))
    return result.astype(np.uint16)


@dataclass(frozen=True)
class Thresholds:
    """Thresholds on probabilities, 0 to 1. Probabilities of Stages 2 and 3 are conditional on the stage above.

    `none_only_above`: only NONE is kept where Stage 1's p(NONE) is above it. `drop_none_below`: NONE is dropped where
    p(NONE) is below it; 0 by default, because the search of NONE is cheap and the other searches start from its result.
    `split_only_above`: only NONE and SPLIT are kept where Stage 2's p(SPLIT) is above it. `drop_split_below`,
    `drop_rect_below`, `drop_ab_below`: the class of Stage 2 is dropped where its probability is below it.
    `drop_direction_below`: HORZ or VERT is dropped by Stage 3-RECT. `drop_ab_kind_below`: HORZ_A, HORZ_B, VERT_A or
    VERT_B is dropped by Stage 3-AB. `drop_four_way_below`: HORZ_4 and VERT_4, which no stage has a class for, are
    dropped where Stage 2's p(RECT), the class of their nearest kin, is below it. `flat_below`: a node whose `deviation`
    is below it stays unrestricted and no stage is asked about it, because libaom is done with such a node sooner than a
    network.

    The defaults for Stage 2 differ by class on purpose: equal thresholds were ruinous in libaom, where a SPLIT removed
    wrongly costs far more than an AB. Raises ToolkitError on a threshold outside 0 to 1.
    """

    none_only_above: float = 0.95
    drop_none_below: float = 0.0
    split_only_above: float = 0.8
    drop_split_below: float = 0.03
    drop_rect_below: float = 0.0
    drop_ab_below: float = 0.15
    drop_direction_below: float = 0.05
    drop_ab_kind_below: float = 0.05
    drop_four_way_below: float = 0.0
    flat_below: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ToolkitError(f"Policy: {name} is {value!r}, expected a number from 0 to 1.")

    @property
    def active(self) -> dict[str, float]:
        """The thresholds, by name, whose value lets them remove anything."""
        return {name: v for name, v in asdict(self).items() if v != (1 if name.endswith("above") else 0)}

    def masks(self, deviation: NDArray[np.float64], ask: Ask, node: int) -> NDArray[np.uint16]:
        """Allowed partitions of N nodes of side `node`, (N,): bit k stands for AV1 partition id k.

        Bits of partitions that such nodes cannot have are 0.
        `deviation` (N,) is that of the nodes (the function above). A stage is asked only about nodes where its answer
        can remove something. Whatever the thresholds, each stage's most probable class stays, so that no mask is empty;
        an AB keeps the partitions it is searched from; NONE stays unless Stage 1 is sure of PARTITION; and a 4-way
        partition goes with the rectangle of its direction.
        """
        allowed = np.full(len(deviation), bits(*partitions_of(node)), np.uint16)
        rest = np.flatnonzero(deviation >= self.flat_below)
        above = self.none_only_above < 1 or self.drop_none_below > 0
        if above and (p := ask("1", rest)) is not None:
            none = p[:, 0]
            allowed[rest[none < min(self.drop_none_below, 0.5)]] &= ALL - bits(NONE)
            allowed[rest[none > max(self.none_only_above, 0.5)]] = bits(NONE)
            rest = rest[none <= max(self.none_only_above, 0.5)]
        groups = stage_of("2", node).groups
        thresholds = (self.drop_split_below, self.drop_rect_below, self.drop_ab_below)[: len(groups)]
        four_way = self.drop_four_way_below > 0 and HORZ_4 in partitions_of(node)
        wanted = any(thresholds) or four_way or self.split_only_above < 1
        if wanted and (p := ask("2", rest)) is not None:
            surest = p.argmax(axis=1)  # the first among equals
            only = (surest == 0) & (p[:, 0] > self.split_only_above)
            allowed[rest[only]] &= bits(NONE, SPLIT)
            for k, (group, threshold) in enumerate(zip(groups, thresholds, strict=True)):
                allowed[rest[(surest != k) & (p[:, k] < threshold)]] &= ALL - bits(*group)
            allowed[rest[(surest != 1) & (p[:, 1] < self.drop_four_way_below)]] &= ALL - bits(HORZ_4, VERT_4)
            rest = rest[~only]
        self._drop_members(allowed, "3-ab", rest, self.drop_ab_kind_below, ask)
        rest = rest[(allowed[rest] & _AB) == 0]  # an AB keeps both directions
        self._drop_members(allowed, "3-rect", rest, self.drop_direction_below, ask)
        return without_lone_four_way(with_inputs_of_ab(allowed))

    @staticmethod
    def _drop_members(
        allowed: NDArray[np.uint16], stage: str, rest: NDArray[np.int64], threshold: float, ask: Ask
    ) -> None:
        """Drop the improbable partitions of a Stage 3 where any of them is still allowed."""
        ids = [group[0] for group in STAGES[stage].groups]
        index = rest[(allowed[rest] & bits(*ids)) != 0]
        if threshold > 0 and (p := ask(stage, index)) is not None:
            surest = p.argmax(axis=1)
            for k, partition in enumerate(ids):
                allowed[index[(surest != k) & (p[:, k] < threshold)]] &= ALL - bits(partition)


TOP = 255
"""Greatest qindex."""
_SETTING = re.compile(r"\s*(\w+)\s*(?:@\s*(\d+)\s*-\s*(\d+)\s*)?=(.*)", re.DOTALL)


class PolicyRecord(TypedDict):
    """A policy in JSON types: for each range of qindex its last one, `to_qindex`, and its thresholds by name."""

    ranges: list[dict[str, float]]


@dataclass(frozen=True)
class Policy:
    """Thresholds by the frame's base qindex: `ranges` holds (last qindex of the range, thresholds), rising to 255.

    Only whole nodes are asked about; nodes cut by the frame's edge are searched as libaom decides. Whether a node ends
    up inside a larger block is not known when its mask is made, so it gets a mask like any other: there the mask can
    only save time. Raises ToolkitError on ranges that do not rise to 255.
    """

    ranges: tuple[tuple[int, Thresholds], ...] = ((TOP, Thresholds()),)

    def __post_init__(self) -> None:
        lasts = [last for last, _ in self.ranges]
        rising = all(type(last) is int for last in lasts) and all(a < b for a, b in pairwise([-1, *lasts]))
        if not lasts or not rising or lasts[-1] != TOP:
            raise ToolkitError(f"Policy: ranges end at qindex {lasts}, expected rising whole numbers, the last {TOP}.")

    @classmethod
    def of(cls, **thresholds: float) -> "Policy":
        """The same thresholds at every qindex; ToolkitError on unknown names and values outside 0 to 1."""
        known = {f.name for f in fields(Thresholds)}
        if not set(thresholds) <= known:
            found = ", ".join(map(str, sorted(thresholds)))
            raise ToolkitError(f"Policy: found {found}, expected thresholds of {', '.join(sorted(known))}.")
        return cls(((TOP, Thresholds(**thresholds)),))

    def to_dict(self) -> PolicyRecord:
        return {"ranges": [{"to_qindex": last, **asdict(thresholds)} for last, thresholds in self.ranges]}

    @classmethod
    def from_dict(cls, values: Any) -> "Policy":
        """Policy from `to_dict`, or from some thresholds that hold at every qindex; ToolkitError on anything else."""
        if not isinstance(values, dict):
            raise ToolkitError(f"Policy: found {values!r:.80}, expected an object of thresholds.")
        if "ranges" not in values:
            return cls.of(**values)
        entries = values["ranges"]
        if set(values) != {"ranges"} or not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise ToolkitError(f"Policy: found {values!r:.200}, expected {{ranges: [{{to_qindex, thresholds}}, ...]}}.")
        ranges = []
        for entry in entries:
            thresholds = {name: value for name, value in entry.items() if name != "to_qindex"}
            ranges.append((entry.get("to_qindex"), cls.of(**thresholds).ranges[0][1]))
        return cls(tuple(ranges))

    @classmethod
    def from_text(cls, settings: Iterable[str]) -> "Policy":
        """The default policy, changed by `NAME=VALUE` or `NAME@LOW-HIGH=VALUE` texts in their order.

        The second form holds for qindex LOW to HIGH only. Raises ToolkitError on any other text.
        """
        policy = cls()
        for setting in settings:
            found = _SETTING.fullmatch(setting)
            try:
                name, low, high, value = found.groups() if found else ("", None, None, "")
                number = float(value)
            except ValueError:
                found = None
            if not found:
                raise ToolkitError(
                    f"--policy {setting}: expected NAME=VALUE or NAME@LOW-HIGH=VALUE, as in drop_ab_below=0.2 or "
                    "drop_ab_below@128-255=0.3."
                )
            policy = policy._changed(name, number, int(low or 0), int(high or TOP))
        return policy

    def _changed(self, name: str, value: float, low: int, high: int) -> "Policy":
        if not low <= high <= TOP:
            raise ToolkitError(f"--policy {name}@{low}-{high}: expected a range of qindex within 0 to {TOP}.")
        Policy.of(**{name: value})  # raises where the name or the value is wrong
        lasts = sorted({last for last, _ in self.ranges} | {high} | ({low - 1} if low else set()))
        ranges = []
        for last in lasts:
            own = self.at(last)
            ranges.append((last, replace(own, **{name: value}) if low <= last <= high else own))
        return Policy(tuple(ranges))

    def at(self, qindex: int) -> Thresholds:
        """The thresholds for a frame of that qindex, 0 to 255."""
        return next(thresholds for last, thresholds in self.ranges if qindex <= last)

    def masks(
        self, qindex: NDArray[np.uint8], deviation: NDArray[np.float64], ask: Ask, node: int
    ) -> NDArray[np.uint16]:
        """`Thresholds.masks` of N nodes of side `node`, each under the thresholds for its own qindex (N,)."""
        result = np.empty(len(qindex), np.uint16)
        number = np.searchsorted([last for last, _ in self.ranges], qindex)
        for k, (_, thresholds) in enumerate(self.ranges):
            index = np.flatnonzero(number == k)
            if len(index):
                result[index] = thresholds.masks(deviation[index], _ask_of(ask, index), node)
        return result


def _ask_of(ask: Ask, index: NDArray[np.int64]) -> Ask:
    """`ask` restricted to the blocks at `index`, which are numbered from 0 again."""
    return lambda stage, own: ask(stage, index[own])
