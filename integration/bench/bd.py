"""BD-rate, time saving, and the frontier of libaom's own presets."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from toolkit.errors import ToolkitError

METHODS = ("akima", "pchip")


class Curve(NamedTuple):
    """Rate in bytes and quality in dB (PSNR-Y, or SSIM as dB) at each cq."""

    rate: Sequence[float]
    quality: Sequence[float]


def bd_rate(anchor: Curve, test: Curve, method: str = "akima") -> float:
    """Percent of bytes that `test` needs beyond `anchor` at equal quality (Bjontegaard 2001).

    Raises ToolkitError where a curve does not rise, or the two hardly overlap.
    """
    import bjontegaard  # of the extra `train`, which `saved_time` does without

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
    """1 - T_test / T_anchor in percent, where T is the sum of CPU seconds over cqs (and clips)."""
    return 100 * (1 - sum(test) / sum(anchor))


def saved_time(saving: float) -> str:
    """What an encode saved, in words that tell a saving from a loss; `saving` in percent of the CPU time."""
    return f"saved {saving:.1f}% of the CPU time" if saving > 0 else f"took {-saving:.1f}% more CPU time"


class Place(NamedTuple):
    """An arm's time saving and BD-rate (`loss`), both in percent against the anchor."""

    saving: float
    loss: float


def frontier_loss(native: Sequence[Place], saving: float) -> float | None:
    """BD-rate, at that time saving, of the line that joins the native presets; None outside their range."""
    ordered = sorted(native)
    savings = [place.saving for place in ordered]
    if not ordered or not savings[0] <= saving <= savings[-1]:
        return None
    return float(np.interp(saving, savings, [place.loss for place in ordered]))
