"""Budgets of errors, set by PyTorch's own error against float64, without the output under test."""

import copy

import numpy as np
from numpy.typing import NDArray

from export.compare.verdict import MAX_FACTOR, RMS_FACTOR, Budget, errors_of
from toolkit.data.blockset import Blocks
from toolkit.errors import ToolkitError
from toolkit.model.network import Classifier, predict


def reference_logits(model: Classifier, blocks: Blocks) -> NDArray[np.float64]:
    """Logits (N, classes) of the model computed in float64, against which every other result is measured."""
    result: NDArray[np.float64] = predict(copy.deepcopy(model).double(), *blocks.inputs, batch=256).numpy()
    return result


def set_budget(model: Classifier, budget_blocks: Blocks) -> tuple[Budget, NDArray[np.float64]]:
    """Measure PyTorch float32 against float64 on the budget blocks; returns the budget and the float64 logits.

    Raises ToolkitError without blocks, and for a model whose logits are not finite.
    """
    if not len(budget_blocks):
        raise ToolkitError("The checkpoint carries no calibration blocks, so no budget can be set. Train it again.")
    exact = reference_logits(model, budget_blocks)
    if not np.isfinite(exact).all():
        raise ToolkitError("The model gives NaN or infinite logits on its calibration blocks. Choose another epoch.")
    single: NDArray[np.float32] = predict(model, *budget_blocks.inputs, batch=256).numpy()
    return budget_of(single, exact), exact


def budget_of(implementation: NDArray[np.float32], exact: NDArray[np.float64]) -> Budget:
    """Budget set by a reference implementation's own error: its logits against the float64 ones, both (N, classes).

    Raises ToolkitError where its logits are not finite.
    """
    if not np.isfinite(implementation).all():
        raise ToolkitError("PyTorch gives NaN or infinite logits at this precision, so no budget can be set.")
    rms, largest = errors_of(implementation, exact)
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
