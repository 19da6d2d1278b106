"""From the stages' probabilities to the partitions that the encoder may still search.

A policy only ever removes, and removes only what it is sure of on one side: pruning the partition that the
encoder would have chosen costs bytes, keeping one that it would not have chosen costs a little time.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ToolkitError
from toolkit.partition import HORZ, HORZ_A, HORZ_B, NONE, SPLIT, STAGES, VERT, VERT_A, VERT_B

ALL = 0x3FF
"""Every AV1 partition id allowed: what a node starts from."""

Ask = Callable[[str, NDArray[np.int64]], NDArray[np.float64] | None]
"""From a stage and block numbers (M,) to that stage's probabilities (M, classes); None where there is no such stage."""


def answers(probabilities: Mapping[str, NDArray[np.float64]]) -> Ask:
    """Of stages that have been asked about all blocks already: their probabilities (N, classes), by stage."""
    return lambda stage, index: probabilities[stage][index] if stage in probabilities else None


def bits(*partitions: int) -> int:
    """The mask that allows these AV1 ids."""
    return sum(1 << p for p in set(partitions))


_AB, _INPUTS = bits(HORZ_A, HORZ_B, VERT_A, VERT_B), bits(SPLIT, HORZ, VERT)


def with_inputs_of_ab(masks: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Masks with SPLIT, HORZ and VERT put back wherever an AB is still allowed.

    libaom searches an AB only where it searches its direction, and decides which ABs to search by the costs of SPLIT
    and of both directions. Without them it decides badly: with a perfect mask this alone costs 0.3 to 0.5% of BD-rate,
    where everything else together costs 0.03% (docs/encoder.md).
    """
    result: NDArray[np.uint16] = np.where(masks & _AB, masks | _INPUTS, masks).astype(np.uint16)
    return result


_GROUPS = dict(zip(STAGES["2"].classes, STAGES["2"].groups, strict=True))


@dataclass(frozen=True)
class Thresholds:
    """Thresholds on probabilities, 0 to 1. Stage 2 and 3 probabilities are conditional on the stage above.

    `none_only_above`: NONE alone where Stage 1's p(NONE) is above it. `drop_none_below`: NONE goes where p(NONE) is
    below it; 0 by default, for the search of NONE is cheap and the other searches start from its result.
    `split_only_above`: NONE and SPLIT alone where p(SPLIT) is above it. `drop_split_below`, `drop_rect_below`,
    `drop_ab_below`: that class of Stage 2 goes. `drop_direction_below`: HORZ or VERT goes by Stage 3-RECT,
    `drop_ab_kind_below`: HORZ_A, HORZ_B, VERT_A or VERT_B goes by Stage 3-AB. `flat_below`: a node whose luma's
    standard deviation, as a share of full scale (`flatness.deviation`), is below it stays free and is not asked about:
    libaom is done with it sooner than a network is.

    The Stage 2 defaults are one-sided on purpose: equal thresholds for all classes were ruinous in libaom, since a
    SPLIT pruned wrongly costs far more than an AB. Raises ToolkitError on a threshold outside 0 to 1.
    """

    none_only_above: float = 0.95
    drop_none_below: float = 0.0
    split_only_above: float = 0.8
    drop_split_below: float = 0.03
    drop_rect_below: float = 0.0
    drop_ab_below: float = 0.15
    drop_direction_below: float = 0.05
    drop_ab_kind_below: float = 0.05
    flat_below: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ToolkitError(f"Policy: {name} is {value!r}, expected a number from 0 to 1.")

    @property
    def active(self) -> dict[str, float]:
        """Those that may remove anything."""
        return {name: v for name, v in asdict(self).items() if v != (1 if name.endswith("above") else 0)}

    def masks(self, deviation: NDArray[np.float64], ask: Ask) -> NDArray[np.uint16]:
        """Allowed partitions of each of N nodes, (N,): bit k stands for AV1 partition id k.

        `deviation` (N,) is the nodes' `flatness.deviation`. A stage is asked only for the nodes where its answer can
        remove something. Whatever the thresholds, each stage's most probable class stays, so that no mask is empty;
        an AB keeps its inputs; and NONE stays unless Stage 1 is sure of PARTITION.
        """
        allowed = np.full(len(deviation), ALL, np.uint16)
        rest = np.flatnonzero(deviation >= self.flat_below)
        above = self.none_only_above < 1 or self.drop_none_below > 0
        if above and (p := ask("1", rest)) is not None:
            none = p[:, 0]
            allowed[rest[none < min(self.drop_none_below, 0.5)]] &= ALL - bits(NONE)
            allowed[rest[none > max(self.none_only_above, 0.5)]] = bits(NONE)
            rest = rest[none <= max(self.none_only_above, 0.5)]
        thresholds = (self.drop_split_below, self.drop_rect_below, self.drop_ab_below)
        if (any(thresholds) or self.split_only_above < 1) and (p := ask("2", rest)) is not None:
            surest = p.argmax(axis=1)  # the first of equals
            only = (surest == 0) & (p[:, 0] > self.split_only_above)
            allowed[rest[only]] &= bits(NONE, SPLIT)
            for k, (group, threshold) in enumerate(zip(_GROUPS.values(), thresholds, strict=True)):
                allowed[rest[(surest != k) & (p[:, k] < threshold)]] &= ALL - bits(*group)
            rest = rest[~only]
        self._drop_members(allowed, "3-ab", rest, self.drop_ab_kind_below, ask)
        rest = rest[(allowed[rest] & _AB) == 0]  # an AB keeps both directions
        self._drop_members(allowed, "3-rect", rest, self.drop_direction_below, ask)
        return with_inputs_of_ab(allowed)

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
"""The greatest qindex."""
_SETTING = re.compile(r"\s*(\w+)\s*(?:@\s*(\d+)\s*-\s*(\d+)\s*)?=(.*)", re.DOTALL)


@dataclass(frozen=True)
class Policy:
    """Thresholds by the frame's base qindex: `ranges` holds (last qindex of the range, thresholds), rising to 255.

    Nothing but whole nodes is asked about: those cut by the frame's edge are searched as libaom likes. Whether a node
    ends up inside a larger block is not known yet when its mask is made, so it gets one like any other; a mask there
    can cost nothing but the search that it saves. Raises ToolkitError on ranges that do not rise to 255.
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

    def to_dict(self) -> dict[str, Any]:
        return {"ranges": [{"to_qindex": last, **asdict(thresholds)} for last, thresholds in self.ranges]}

    @classmethod
    def from_dict(cls, values: Any) -> "Policy":
        """Read back `to_dict`, or thresholds without ranges, or a part of them; ToolkitError on anything else."""
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
        """The default policy changed, in this order, by `NAME=VALUE` or `NAME@LOW-HIGH=VALUE` texts.

        The latter holds for qindex LOW to HIGH alone. ToolkitError on a wrong one.
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
        Policy.of(**{name: value})  # says what is wrong with them
        lasts = sorted({last for last, _ in self.ranges} | {high} | ({low - 1} if low else set()))
        ranges = []
        for last in lasts:
            own = self.at(last)
            ranges.append((last, replace(own, **{name: value}) if low <= last <= high else own))
        return Policy(tuple(ranges))

    def at(self, qindex: int) -> Thresholds:
        """The thresholds for a frame of that qindex, 0 to 255."""
        return next(thresholds for last, thresholds in self.ranges if qindex <= last)

    def masks(self, qindex: NDArray[np.uint8], deviation: NDArray[np.float64], ask: Ask) -> NDArray[np.uint16]:
        """`Thresholds.masks` of nodes (N,) by each one's qindex (N,)."""
        result = np.empty(len(qindex), np.uint16)
        number = np.searchsorted([last for last, _ in self.ranges], qindex)
        for k, (_, thresholds) in enumerate(self.ranges):
            index = np.flatnonzero(number == k)
            if len(index):
                result[index] = thresholds.masks(deviation[index], _ask_of(ask, index))
        return result


def _ask_of(ask: Ask, index: NDArray[np.int64]) -> Ask:
    """The same about some of the blocks, numbered anew."""
    return lambda stage, own: ask(stage, index[own])
