"""Verdicts on logits: errors against float64 must stay within a budget. Needs no PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from export.compare.batches import Difference, batch_rows

RMS_FACTOR, MAX_FACTOR = 4.0, 8.0
"""Healthy float32 runtimes measure 0.6 to 1.1 times PyTorch's own error; the mildest real damage over 100 times.

Measured on CPUs in float32. For every GPU profile they are assumed, and its report says so
(`Profile.budget_assumed`).
"""

NEAR_TIE_LIMIT = 0.05
"""Largest share of near-ties: above it decisions could not show a fault, so the comparison fails."""

Logits = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True)
class Budget:
    """Largest allowed errors against float64, and the reference implementation's own errors that set them.

    `blocks`: number of budget blocks.
    """

    rms: float
    max: float
    reference_rms: float
    reference_max: float
    blocks: int

    def ratio(self, rms: float) -> float:
        """An RMS error as a multiple of the error that set the budget."""
        return rms * RMS_FACTOR / self.rms


class Spread(TypedDict):
    """Sizes of the errors of logits: over all, at percentiles, and of each class."""

    rms: float
    max: float
    percentiles: dict[str, float]
    rms_per_class: list[float]
    max_per_class: list[float]


def spread(errors: NDArray[np.float64]) -> Spread:
    """Sizes of errors (N, classes)."""
    sizes, squares = np.abs(errors), np.square(errors)
    return {
        "rms": float(np.sqrt(np.mean(squares))),
        "max": float(sizes.max()),
        "percentiles": {str(p): float(np.percentile(sizes, p)) for p in (50, 90, 99, 99.9)},
        "rms_per_class": [float(e) for e in np.sqrt(squares.mean(0))],
        "max_per_class": [float(e) for e in sizes.max(0)],
    }


class BatchResult(Spread):
    """Errors of one output against the reference, as a report has them of one batch size.

    `comparisons` counts logits; flips and near-ties count blocks. `near_ties`: blocks whose two largest float64 logits
    lie closer than twice the budget; only there may a decision differ. `flips_allowed`: decisions that differ there;
    `flips`: decisions that differ elsewhere. `reasons`: why the comparison fails, empty where it passes.
    """

    comparisons: int
    blocks: int
    flips: int
    flips_allowed: int
    near_ties: int
    near_tie_share: float
    reasons: list[str]


class Summary(TypedDict):
    """A report's verdict over all batch sizes: the worst errors, the sum of the counts, `batches` by size."""

    status: str
    reason: str
    comparisons: int
    rms: float
    max: float
    flips: int
    flips_allowed: int
    near_tie_share: float
    batches: dict[str, BatchResult]


class Verdict(Summary):
    """A summary beside the budget that decided it. `ratio`: `rms` in multiples of the reference's own error."""

    ratio: float
    rms_budget: float
    max_budget: float


def compare(found: Logits, reference: NDArray[np.float64], budget: Budget, *, decisions: bool = True) -> BatchResult:
    """Compare logits (N, classes) with the float64 reference of the same shape, in values and in decisions.

    `decisions` false: they are no logits, and only values count; flips and near-ties are then 0. Bad values never
    raise: NaN, infinities, another shape and zero blocks are reasons to fail.
    """
    if found.shape != reference.shape or not reference.size:
        reason = f"compared {found.shape} with {reference.shape}: expected equal shapes and at least one block"
        return _failure(reason)
    if not np.isfinite(found).all() or not np.isfinite(reference).all():
        return _failure(f"{int((~np.isfinite(found)).sum())} logits are NaN or infinite")
    sizes = spread(found.astype(np.float64) - reference)
    rms, largest = sizes["rms"], sizes["max"]
    top = np.sort(reference, axis=1)
    near_tie = decisions & (top[:, -1] - top[:, -2 if top.shape[1] > 1 else -1] < 2 * budget.max)
    flipped = decisions & (found.argmax(1) != reference.argmax(1))
    flips = int((flipped & ~near_tie).sum())
    near_ties = int(near_tie.sum())
    reasons = []
    if rms > budget.rms:
        reasons.append(f"RMS error {rms:.3g} exceeds the budget {budget.rms:.3g}")
    if largest > budget.max:
        reasons.append(f"largest error {largest:.3g} exceeds the budget {budget.max:.3g}")
    if flips:
        reasons.append(f"{flips} decisions differ where float64 is no near-tie")
    if near_ties > NEAR_TIE_LIMIT * len(reference):
        reasons.append(f"{near_ties} of {len(reference)} blocks are near-ties: decisions prove nothing")
    return BatchResult(
        **sizes,
        comparisons=reference.size,
        blocks=len(reference),
        flips=flips,
        flips_allowed=int((flipped & near_tie).sum()),
        near_ties=near_ties,
        near_tie_share=near_ties / len(reference),
        reasons=reasons,
    )


def judge(
    found: Mapping[int, Logits], reference: NDArray[np.float64], budget: Budget, *, decisions: bool = True
) -> Verdict:
    """Verdict on logits by batch size, as `run_batches` gives them, of the blocks of `reference` (N, classes).

    `decisions`: as of `compare`.
    """
    rows = {batch: reference[batch_rows(len(reference), batch)] for batch in found}
    summary = summarise(
        {batch: compare(logits, rows[batch], budget, decisions=decisions) for batch, logits in found.items()}
    )
    return {
        **summary,
        "ratio": budget.ratio(summary["rms"]),
        "rms_budget": budget.rms,
        "max_budget": budget.max,
    }


def summarise(by_batch: Mapping[int, BatchResult]) -> Summary:
    """Combine the comparisons of all batch sizes; nothing compared is a failure."""
    parts = list(by_batch.values())
    reasons = [f"batch {size}: {reason}" for size, c in by_batch.items() for reason in c["reasons"]]
    comparisons = sum(c["comparisons"] for c in parts)
    if not comparisons:
        reasons.append("nothing was compared")
    return {
        "status": "failed" if reasons else "passed",
        "reason": "; ".join(reasons),
        "comparisons": comparisons,
        "rms": max((c["rms"] for c in parts), default=0.0),
        "max": max((c["max"] for c in parts), default=0.0),
        "flips": sum(c["flips"] for c in parts),
        "flips_allowed": sum(c["flips_allowed"] for c in parts),
        "near_tie_share": max((c["near_tie_share"] for c in parts), default=0.0),
        "batches": {str(size): c for size, c in by_batch.items()},
    }


def with_repeats(verdict: dict[str, Any], repeats: Mapping[str, Difference], allowed: float) -> dict[str, Any]:
    """The verdict with `repeatability`; failed where repeated runs differ by more than `allowed`."""
    strange = [name for name, r in repeats.items() if r["largest"] is None or r["largest"] > allowed]
    if strange:
        reason = f"not repeatable in the {' and the '.join(strange)}"
        verdict = verdict | {"status": "failed", "reason": "; ".join(filter(None, [verdict["reason"], reason]))}
    return {**verdict, "repeatability": dict(repeats)}


def errors_of(found: Logits, reference: NDArray[np.float64]) -> tuple[float, float]:
    """RMS error and largest error of logits (N, classes)."""
    errors = found.astype(np.float64) - reference
    return float(np.sqrt(np.mean(errors**2))), float(np.abs(errors).max())


def _failure(reason: str) -> BatchResult:
    return BatchResult(
        comparisons=0, blocks=0, rms=0.0, max=0.0, percentiles={}, rms_per_class=[], max_per_class=[],
        flips=0, flips_allowed=0, near_ties=0, near_tie_share=0.0, reasons=[reason],
    )  # fmt: skip
