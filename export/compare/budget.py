"""What counts as equal: errors against float64 within a budget that the output under test had no part in."""

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.data.blockset import Blocks
from toolkit.errors import ToolkitError
from toolkit.model.network import Classifier, predict

RMS_FACTOR, MAX_FACTOR = 4.0, 8.0
"""Healthy float32 runtimes measure 0.6 to 1.1 times PyTorch's own error; the mildest real damage over 100 times.

Found on CPUs, in float32. For every GPU profile they are an assumption, which `Profile.budget_assumed` says.
"""

NEAR_TIE_LIMIT = 0.05
"""Where more blocks than this are near-ties, decisions could not show a fault, so the comparison fails."""

Logits = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True)
class Budget:
    """How far logits may lie from the float64 reference, and the error of PyTorch float32 that it was set from."""

    rms: float
    max: float
    reference_rms: float
    reference_max: float
    blocks: int

    def ratio(self, rms: float) -> float:
        """An RMS error as a multiple of the error that the budget was set from."""
        return rms * RMS_FACTOR / self.rms


def reference_logits(model: Classifier, blocks: Blocks) -> NDArray[np.float64]:
    """Logits (N, classes) of the model computed in float64: the truth that every float32 result is measured by."""
    result: NDArray[np.float64] = predict(copy.deepcopy(model).double(), blocks.luma, blocks.qindex, 256).numpy()
    return result


def calibrate(model: Classifier, calibration: Blocks) -> tuple[Budget, NDArray[np.float64]]:
    """Measure PyTorch float32 against float64 on the calibration blocks: the budget, and the float64 logits.

    Raises ToolkitError without calibration blocks or with a model whose logits are not finite.
    """
    if not len(calibration):
        raise ToolkitError("The checkpoint carries no calibration blocks, so no budget can be set. Train it again.")
    exact = reference_logits(model, calibration)
    if not np.isfinite(exact).all():
        raise ToolkitError("The model gives NaN or infinite logits on its calibration blocks. Choose another epoch.")
    single: NDArray[np.float32] = predict(model, calibration.luma, calibration.qindex, 256).numpy()
    return budget_of(single, exact), exact


def budget_of(implementation: NDArray[np.float32], exact: NDArray[np.float64]) -> Budget:
    """The budget that a reference implementation's own error sets: its logits against the float64 ones, (N, classes).

    Raises ToolkitError where they are not finite.
    """
    if not np.isfinite(implementation).all():
        raise ToolkitError("PyTorch gives NaN or infinite logits at this precision, so no budget can be set.")
    rms, largest = _errors(implementation, exact)
    # PyTorch may be exact by luck (a tiny or dead model); no float32 result can promise less than a unit in the
    # last place of its own scale.
    ulp, tiny = float(np.finfo(np.float32).eps), float(np.finfo(np.float32).tiny)
    floor_rms, floor_max = ulp * float(np.sqrt(np.mean(exact**2))) + tiny, ulp * float(np.abs(exact).max()) + tiny
    return Budget(
        rms=RMS_FACTOR * max(rms, floor_rms),
        max=MAX_FACTOR * max(largest, floor_max),
        reference_rms=rms,
        reference_max=largest,
        blocks=len(exact),
    )


@dataclass(frozen=True)
class Comparison:
    """One output against the reference. `comparisons` counts logits; flips and near-ties count blocks.

    `near_ties`: blocks whose two largest float64 logits lie closer than twice the budget, where alone a decision may
    differ; `flips`: decisions that do differ elsewhere; `flips_allowed`: on near-ties. `reasons`: why it fails.
    """

    comparisons: int
    blocks: int
    rms: float
    max: float
    percentiles: dict[str, float]
    rms_per_class: list[float]
    max_per_class: list[float]
    flips: int
    flips_allowed: int
    near_ties: int
    reasons: tuple[str, ...]

    @property
    def near_tie_share(self) -> float:
        return self.near_ties / self.blocks if self.blocks else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "reasons": list(self.reasons), "near_tie_share": self.near_tie_share}


def compare(found: Logits, reference: NDArray[np.float64], budget: Budget) -> Comparison:
    """Compare logits (N, classes) with the float64 reference of the same shape, in values and in decisions.

    Never raises on bad values: NaN, infinities, another shape and zero blocks are reasons to fail.
    """
    if found.shape != reference.shape or not reference.size:
        reason = f"compared {found.shape} with {reference.shape}: expected equal shapes and at least one block"
        return _failure(reason)
    if not np.isfinite(found).all() or not np.isfinite(reference).all():
        return _failure(f"{int((~np.isfinite(found)).sum())} logits are NaN or infinite")
    errors = np.abs(found.astype(np.float64) - reference)
    rms, largest = _errors(found, reference)
    top = np.sort(reference, axis=1)
    near_tie = top[:, -1] - top[:, -2] < 2 * budget.max
    flipped = found.argmax(1) != reference.argmax(1)
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
    return Comparison(
        comparisons=errors.size,
        blocks=len(reference),
        rms=rms,
        max=largest,
        percentiles={str(p): float(np.percentile(errors, p)) for p in (50, 90, 99, 99.9)},
        rms_per_class=[float(e) for e in np.sqrt(np.square(errors).mean(0))],
        max_per_class=[float(e) for e in errors.max(0)],
        flips=flips,
        flips_allowed=int((flipped & near_tie).sum()),
        near_ties=near_ties,
        reasons=tuple(reasons),
    )


def summarise(by_batch: Mapping[int, Comparison]) -> dict[str, Any]:
    """One verdict over every batch size: {status, reason, comparisons, rms, max, flips, near_tie_share, batches}."""
    parts = list(by_batch.values())
    reasons = [f"batch {size}: {reason}" for size, c in by_batch.items() for reason in c.reasons]
    comparisons = sum(c.comparisons for c in parts)
    if not comparisons:
        reasons.append("nothing was compared")
    return {
        "status": "failed" if reasons else "passed",
        "reason": "; ".join(reasons),
        "comparisons": comparisons,
        "rms": max((c.rms for c in parts), default=0.0),
        "max": max((c.max for c in parts), default=0.0),
        "flips": sum(c.flips for c in parts),
        "flips_allowed": sum(c.flips_allowed for c in parts),
        "near_tie_share": max((c.near_tie_share for c in parts), default=0.0),
        "batches": {str(size): c.to_dict() for size, c in by_batch.items()},
    }


def _errors(found: Logits, reference: NDArray[np.float64]) -> tuple[float, float]:
    errors = found.astype(np.float64) - reference
    return float(np.sqrt(np.mean(errors**2))), float(np.abs(errors).max())


def _failure(reason: str) -> Comparison:
    return Comparison(0, 0, 0.0, 0.0, {}, [], [], 0, 0, 0, (reason,))
