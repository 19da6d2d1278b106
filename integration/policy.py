"""From the stages' probabilities to the partitions that the encoder may still search.

A policy only ever removes, and removes only what it is sure of on one side: pruning the partition that the
encoder would have chosen costs bytes, keeping one that it would not have chosen costs a little time.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ToolkitError
from toolkit.partition import HORZ, HORZ_A, HORZ_B, NONE, SPLIT, STAGES, VERT, VERT_A, VERT_B

ALL = 0x3FF
"""Every AV1 partition id allowed: what a node starts from."""

Ask = Callable[[str, NDArray[np.int64]], NDArray[np.float64] | None]
"""From a stage and block numbers (M,) to that stage's probabilities (M, classes); None where there is no such stage."""


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
class Policy:
    """Thresholds on probabilities, 0 to 1. Stage 2 and 3 probabilities are conditional on the stage above.

    `none_only_above`: NONE alone where Stage 1's p(NONE) is above it. `drop_none_below`: NONE goes where p(NONE) is
    below it; 0 by default, for the search of NONE is cheap and the other searches start from its result.
    `split_only_above`: NONE and SPLIT alone where p(SPLIT) is above it. `drop_split_below`, `drop_rect_below`,
    `drop_ab_below`: that class of Stage 2 goes. `drop_direction_below`: HORZ or VERT goes by Stage 3-RECT,
    `drop_ab_kind_below`: HORZ_A, HORZ_B, VERT_A or VERT_B goes by Stage 3-AB.

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

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ToolkitError(f"Policy: {name} is {value!r}, expected a number from 0 to 1.")

    def to_dict(self) -> dict[str, float]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> "Policy":
        """Read back `to_dict`, or a part of it; ToolkitError on unknown names."""
        known = {f.name for f in fields(cls)}
        if not isinstance(values, dict) or not set(values) <= known:
            found = sorted(values) if isinstance(values, dict) else values
            raise ToolkitError(f"Policy: found {found!r}, expected thresholds of {', '.join(sorted(known))}.")
        return cls(**values)

    @classmethod
    def from_text(cls, settings: Iterable[str]) -> "Policy":
        """The default policy changed by `name=value` texts; ToolkitError on a wrong one."""
        values: dict[str, float] = {}
        for setting in settings:
            name, _, value = setting.partition("=")
            try:
                values[name.strip()] = float(value)
            except ValueError:
                raise ToolkitError(f"--policy {setting}: expected NAME=VALUE, as in drop_ab_below=0.2.") from None
        return cls.from_dict(values)

    def masks(self, count: int, ask: Ask) -> NDArray[np.uint16]:
        """Allowed partitions of each of `count` blocks, (count,): bit k stands for AV1 partition id k.

        Later stages are asked only for the blocks where their answer can remove something. Whatever the thresholds,
        each stage's most probable class stays, so that no mask is empty; and an AB keeps its inputs.
        """
        allowed = np.full(count, ALL, np.uint16)
        rest = np.arange(count)
        if (p := ask("1", rest)) is not None:
            none = p[:, 0]
            allowed[rest[none < min(self.drop_none_below, 0.5)]] &= ALL - bits(NONE)
            allowed[rest[none > max(self.none_only_above, 0.5)]] = bits(NONE)
            rest = rest[none <= max(self.none_only_above, 0.5)]
        if (p := ask("2", rest)) is not None:
            only = _surest(p, 0) & (p[:, 0] > self.split_only_above)
            allowed[rest[only]] &= bits(NONE, SPLIT)
            thresholds = (self.drop_split_below, self.drop_rect_below, self.drop_ab_below)
            for k, (group, threshold) in enumerate(zip(_GROUPS.values(), thresholds, strict=True)):
                allowed[rest[~_surest(p, k) & (p[:, k] < threshold)]] &= ALL - bits(*group)
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
        if (p := ask(stage, index)) is not None:
            for k, partition in enumerate(ids):
                allowed[index[~_surest(p, k) & (p[:, k] < threshold)]] &= ALL - bits(partition)


def _surest(p: NDArray[np.float64], k: int) -> NDArray[np.bool_]:
    """Where class k is the most probable (the first of equals)."""
    result: NDArray[np.bool_] = p.argmax(axis=1) == k
    return result
