"""Verdict on an int8 bundle: not the errors of its logits count, but whether its decisions are worse than float64's."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from export.compare.batches import FULL_BATCH, batch_rows
from export.compare.verdict import Spread, spread
from toolkit.data.blockset import Blocks
from toolkit.experiments.reliability import negative_log_likelihood, reliability

F1_MARGIN = 0.005
"""Largest allowed loss of macro-F1: half a point."""
ECE_MARGIN = 0.01
"""Largest allowed gain in expected calibration error."""
BATCH_MARGIN = 0.005
"""Largest share of decisions that another batch size may change."""
RESAMPLES = 2000
CONFIDENCE = 0.95
MIN_SOURCES = 5
"""Fewest sources for a bootstrap: it draws sources, because blocks of one source are alike."""


class Int8BatchResult(Spread):
    """Decisions of an int8 graph against float64's at one batch size. `f1_lower`: lower bound of `f1_difference`."""

    blocks: int
    sources: int
    f1_difference: float
    f1_lower: float
    ece: float
    ece_float64: float
    nll: float
    nll_float64: float
    flips: int
    reasons: NotRequired[list[str]]


class Int8Verdict(TypedDict):
    """A report's verdict over all batch sizes. `noninferiority`: the main batch size's result, beside its margins."""

    status: str
    reason: str
    comparisons: int
    rms: float
    max: float
    flips: int
    batches: dict[str, Int8BatchResult]
    noninferiority: dict[str, object]


def judge_int8(
    found: Mapping[int, NDArray[np.float32]], reference: NDArray[np.float64], blocks: Blocks, classes: int, seed: int
) -> Int8Verdict:
    """Verdict on an int8 graph's logits by batch size.

    Every block counts, in batches of 64. The difference of macro-F1 from float64's needs a one-sided 95% lower bound
    (paired bootstrap over sources) above -0.005. The expected calibration error may grow by 0.01. Other batch sizes
    may change half a percent of the decisions. Logits must be finite.
    """
    main = FULL_BATCH if FULL_BATCH in found else next(iter(found), 0)
    batches: dict[str, Int8BatchResult] = {}
    reasons = []
    for size, logits in found.items():
        rows = batch_rows(len(blocks), size)
        if logits.shape != (len(rows), classes) or not np.isfinite(logits).all():
            reasons.append(f"batch {size}: logits of shape {logits.shape}, expected {(len(rows), classes)}, finite")
            continue
        batches[str(size)] = _compare(logits, reference[rows], blocks[rows], classes, seed)
    if not batches:
        reasons.append("nothing was compared")
    if not reasons:
        reasons = _worse(batches[str(main)])
        decided = dict(zip(batch_rows(len(blocks), main).tolist(), found[main].argmax(1).tolist(), strict=True))
        for size, logits in found.items():
            usual = [decided[row] for row in batch_rows(len(blocks), size).tolist() if row in decided]
            changed = float((logits.argmax(1)[: len(usual)] != usual).mean())
            if changed > BATCH_MARGIN:
                reasons.append(
                    f"batch {size} decides {changed:.2%} of the blocks otherwise, allowed {BATCH_MARGIN:.2%}"
                )
    return {
        "status": "failed" if reasons else "passed",
        "reason": "; ".join(reasons),
        "comparisons": sum(b["blocks"] * classes for b in batches.values()),
        "rms": max((b["rms"] for b in batches.values()), default=0.0),
        "max": max((b["max"] for b in batches.values()), default=0.0),
        "flips": sum(b["flips"] for b in batches.values()),
        "batches": {size: {**b, "reasons": []} for size, b in batches.items()},
        "noninferiority": {
            **batches.get(str(main), {}),
            "f1_margin": F1_MARGIN,
            "ece_margin": ECE_MARGIN,
            "batch_margin": BATCH_MARGIN,
            "resamples": RESAMPLES,
        },
    }


def _worse(found: Int8BatchResult) -> list[str]:
    """Reasons why a comparison does not show that int8 is no worse; empty where it does."""
    reasons = []
    if found["sources"] < MIN_SOURCES:
        reasons.append(f"{found['sources']} sources, expected at least {MIN_SOURCES} to draw from; label more")
    if not found["f1_lower"] > -F1_MARGIN:
        reasons.append(
            f"macro-F1 could be {-found['f1_lower']:.4f} lower than float64's (95%), allowed {F1_MARGIN}; with more "
            "blocks (--limit) or sources the bound is tighter"
        )
    if found["ece"] > found["ece_float64"] + ECE_MARGIN:
        reasons.append(
            f"calibration error {found['ece']:.4f}, float64 has {found['ece_float64']:.4f} and may gain {ECE_MARGIN}"
        )
    return reasons


def bootstrap_difference(
    found: NDArray[np.int64],
    reference: NDArray[np.int64],
    target: NDArray[np.int64],
    source: NDArray[np.integer[Any]],
    classes: int,
    seed: int,
) -> tuple[float, float]:
    """Macro-F1 of the decisions `found` minus that of `reference`, both (N,), and the difference's lower bound.

    Sources are drawn with replacement, the same for both sides. A class missing from a draw counts 0 on both sides.
    """
    _, which = np.unique(source, return_inverse=True)
    sources = int(which.max()) + 1

    def confusions(decisions: NDArray[np.int64]) -> NDArray[np.float64]:
        cell = (which * classes + target) * classes + decisions
        return np.bincount(cell, minlength=sources * classes**2).reshape(sources, classes, classes).astype(np.float64)

    ours, theirs = confusions(found), confusions(reference)
    draws = np.random.default_rng(seed).multinomial(sources, np.full(sources, 1 / sources), RESAMPLES)
    weights = np.concatenate([np.ones((1, sources)), draws])
    differences = _macro_f1(np.tensordot(weights, ours, 1)) - _macro_f1(np.tensordot(weights, theirs, 1))
    return float(differences[0]), float(np.quantile(differences[1:], 1 - CONFIDENCE))


def _macro_f1(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Macro-F1 (M,) of confusion matrices (M, true, decided)."""
    right = np.diagonal(confusion, axis1=1, axis2=2)
    total = confusion.sum(1) + confusion.sum(2)
    scores: NDArray[np.float64] = np.where(total > 0, 2 * right / np.where(total > 0, total, 1), 0).mean(1)
    return scores


def _compare(
    logits: NDArray[np.float32], exact: NDArray[np.float64], blocks: Blocks, classes: int, seed: int
) -> Int8BatchResult:
    ours, theirs = logits.argmax(1), exact.argmax(1)
    difference, lower = bootstrap_difference(ours, theirs, blocks.target, blocks.source, classes, seed)
    found = {
        **spread(logits - exact),
        "blocks": len(blocks),
        "sources": len(np.unique(blocks.source)),
        "f1_difference": difference,
        "f1_lower": lower,
        "ece": reliability(logits, blocks.target).error,
        "ece_float64": reliability(exact, blocks.target).error,
        "nll": negative_log_likelihood(logits, blocks.target),
        "nll_float64": negative_log_likelihood(exact, blocks.target),
        "flips": int((ours != theirs).sum()),
    }
    return cast(Int8BatchResult, found)
