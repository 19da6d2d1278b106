"""Reliability of probabilities: does 0.7 come true seven times in ten? Measured, and improved by one temperature."""

from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ToolkitError

BINS = 15
"""Number of bins of the expected calibration error, as in Guo et al. 2017."""
MAX_LOG_TEMPERATURE = 5.0
"""Temperatures are sought from exp(-5) to exp(5), since logits that separate the classes perfectly have no best one."""


@dataclass(frozen=True)
class Reliability:
    """Bins of equal width over the confidence (largest probability): number of blocks, mean confidence, and accuracy.

    All arrays are (BINS,). The means of an empty bin are NaN.
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error, 0 to 1: mean |accuracy - confidence| over the bins, weighted by their count."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.nansum(gaps * self.count) / self.count.sum())


def reliability(logits: NDArray[np.floating[Any]], targets: NDArray[np.int64], temperature: float = 1.0) -> Reliability:
    """Compare logits (N, classes), divided by the temperature, with the true class indices (N,).

    Raises ToolkitError on no blocks, and on logits that are not finite.
    """
    probabilities = np.exp(_log_probabilities(logits, targets, temperature))
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == targets
    index = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(index, minlength=BINS)
    total = np.where(count, count, 1)

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.where(count, np.bincount(index, values, BINS) / total, np.nan)

    return Reliability(count, mean(confidence), mean(right))


def negative_log_likelihood(
    logits: NDArray[np.floating[Any]],
    targets: NDArray[np.int64],
    temperature: float = 1.0,
    weights: NDArray[np.float64] | None = None,
) -> float:
    """Mean of -log p of the true class, in nats; `weights` (N,) weight the blocks. Raises as `reliability` does."""
    rows = np.arange(len(targets))
    return float(np.average(-_log_probabilities(logits, targets, temperature)[rows, targets], weights=weights))


def fit_temperature(
    logits: NDArray[np.floating[Any]], targets: NDArray[np.int64], weights: NDArray[np.float64] | None = None
) -> float:
    """Temperature of the least NLL (temperature scaling, Guo et al. 2017). Raises as `reliability` does.

    The NLL is convex in 1/T, so that a bounded search over one number finds the minimum. Dividing by a temperature
    changes no decision.
    """

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(logits, targets, float(np.exp(log_temperature)), weights)

    from scipy.optimize import minimize_scalar  # repeating the proof of an int8 bundle needs no SciPy

    found = minimize_scalar(loss, bounds=(-MAX_LOG_TEMPERATURE, MAX_LOG_TEMPERATURE), method="bounded")
    return float(np.exp(found.x))


class ReliabilityScores(TypedDict):
    """Expected calibration error (0 to 1) and NLL (nats), as the model gives them and after temperature scaling."""

    ece: float
    nll: float
    temperature: float
    ece_scaled: float
    nll_scaled: float


def reliability_scores(
    logits: NDArray[np.floating[Any]], targets: NDArray[np.int64], temperature: float
) -> ReliabilityScores:
    """Score logits (N, classes) against class indices (N,) before and after division by the temperature."""
    return {
        "ece": reliability(logits, targets).error,
        "nll": negative_log_likelihood(logits, targets),
        "temperature": temperature,
        "ece_scaled": reliability(logits, targets, temperature).error,
        "nll_scaled": negative_log_likelihood(logits, targets, temperature),
    }


def _log_probabilities(
    logits: NDArray[np.floating[Any]], targets: NDArray[np.int64], temperature: float
) -> NDArray[np.float64]:
    if logits.ndim != 2 or targets.shape != logits.shape[:1] or not len(targets):
        raise ToolkitError(
            f"Calibration: logits {logits.shape} and targets {targets.shape}, expected (N, classes) and (N,), N >= 1."
        )
    if not np.isfinite(logits).all():
        raise ToolkitError("Calibration: the logits hold NaN or infinity. This checkpoint is of no use; take another.")
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    result: NDArray[np.float64] = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return result
