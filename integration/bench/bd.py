"""BD-rate, time saving, and the line between libaom's own presets."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import bjontegaard
import numpy as np

from toolkit.errors import ToolkitError

METHODS = ("akima", "pchip")


class Curve(NamedTuple):
    """Rate and quality at each cq: bytes, and PSNR-Y in dB."""

    rate: Sequence[float]
    quality: Sequence[float]


def bd_rate(anchor: Curve, test: Curve, method: str = "akima") -> float:
    """Bytes that `test` needs more than `anchor` at equal PSNR-Y, in percent (Bjontegaard 2001).

    Raises ToolkitError where a curve does not rise, or the two hardly overlap.
    """
    sides = [*_rising(anchor), *_rising(test)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return float(bjontegaard.bd_rate(*sides, method=method))
        except (UserWarning, ValueError) as error:
            raise ToolkitError(f"No BD-rate: {error} Use other cq levels.") from None


def _rising(curve: Curve) -> tuple[list[float], list[float]]:
    pairs = sorted(zip(curve.quality, curve.rate, strict=True))
    quality, rate = [q for q, _ in pairs], [r for _, r in pairs]
    if not (np.diff(quality) > 0).all() or not (np.diff(rate) > 0).all():
        raise ToolkitError(
            f"No BD-rate: quality {np.round(quality, 3).tolist()} dB at {rate} bytes does not rise with the bytes. "
            "Use cq levels that lie further apart, or larger frames."
        )
    return rate, quality


def time_saving(anchor: Sequence[float], test: Sequence[float]) -> float:
    """1 - T_test / T_anchor in percent, each the sum of CPU seconds over cqs (and clips)."""
    return 100 * (1 - sum(test) / sum(anchor))


class Place(NamedTuple):
    """A point of the plane that the report judges in; both in percent against the anchor."""

    saving: float
    loss: float


def frontier_loss(native: Sequence[Place], saving: float) -> float | None:
    """BD-rate of the straight line between native presets at that time saving; None outside their range."""
    ordered = sorted(native)
    savings = [place.saving for place in ordered]
    if not ordered or not savings[0] <= saving <= savings[-1]:
        return None
    return float(np.interp(saving, savings, [place.loss for place in ordered]))
