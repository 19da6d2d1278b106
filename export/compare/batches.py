"""Batch sizes 1 to a whole frame, each with a ragged tail, on one session; and whether it repeats itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.graph.runtime import RuntimeModel
from toolkit.data.blockset import Luma

FULL_BATCH = 64
"""The batch size that runs every block. Another one shows what the size does, for which fewer blocks are enough."""
DISTINCT = 512
_REPEATED = 256


@dataclass(frozen=True)
class Outputs:
    """Logits of `batch_rows` by batch size; node placement by provider; `repeats` as from `repeatability`."""

    logits: dict[int, NDArray[np.float32]]
    placement: dict[str, int]
    repeats: dict[str, dict[str, Any]]


def batch_rows(blocks: int, batch: int) -> NDArray[np.int64]:
    """Which block each row of a sweep holds: of 64 all of them, else up to 512 spread evenly over them.

    They are repeated until one batch is full and the last is not.
    """
    distinct = np.arange(blocks)
    if batch != FULL_BATCH and blocks > DISTINCT:
        distinct = np.linspace(0, blocks - 1, DISTINCT).astype(np.int64)
    rows = max(len(distinct), batch + 1)
    if batch > 1 and rows % batch == 0:
        rows += 1
    return distinct[np.arange(rows) % len(distinct)]


def sweep(
    model: RuntimeModel, luma: Luma, qindex: NDArray[np.uint8], batches: Sequence[int]
) -> dict[int, NDArray[np.float32]]:
    """Logits of `batch_rows` for each batch size, really computed in calls of that size."""
    results = {}
    for batch in batches:
        rows = batch_rows(len(luma), batch)
        parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
        results[batch] = np.concatenate([model.one_call(luma[part], qindex[part]) for part in parts])
    return results


def run_all(
    open_session: Callable[[], RuntimeModel], luma: Luma, qindex: NDArray[np.uint8], batches: Sequence[int]
) -> Outputs:
    """The whole sweep on a new session, and its repeatability."""
    session = open_session()
    found = sweep(session, luma, qindex, batches)
    part = slice(0, _REPEATED)
    first, again = (session.one_call(luma[part], qindex[part]) for _ in range(2))
    fresh = open_session().one_call(luma[part], qindex[part])
    repeats = {"same session": _difference(first, again), "fresh session": _difference(first, fresh)}
    return Outputs(found, session.placement, repeats)


def between_batches(logits: Mapping[int, NDArray[np.float32]], blocks: int) -> dict[str, float | None]:
    """By batch size: the largest difference of a block's logits from those in the first size's calls; None: not finite.

    Kernels are chosen by size, so that it need not be 0.
    """
    first = min(logits, key=lambda size: (size != FULL_BATCH, size))
    usual = dict(zip(batch_rows(blocks, first).tolist(), logits[first], strict=False))
    result: dict[str, float | None] = {}
    for size, found in logits.items():
        expected = [usual[row] for row in batch_rows(blocks, size).tolist() if row in usual]
        if size != first:
            same = np.shape(expected) == found.shape  # a graph that drops or adds rows fails elsewhere
            result[str(size)] = _difference(found, np.array(expected))["largest"] if same else None
    return result


def _difference(first: NDArray[np.float32], second: NDArray[np.float32]) -> dict[str, Any]:
    """{equal: to the bit, largest: difference; None where either holds NaN or infinity}."""
    finite = bool(np.isfinite(first).all() and np.isfinite(second).all())
    largest = float(np.abs(first.astype(np.float64) - second).max()) if finite else None
    return {"equal": first.tobytes() == second.tobytes(), "largest": largest}
