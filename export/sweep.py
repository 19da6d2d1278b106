"""Batch sizes: the same blocks in batches of 1, 7, 64 and 1,000, each with a ragged tail, on one session."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from export.runtime import RuntimeModel
from toolkit.blocks import Luma


def batch_rows(blocks: int, batch: int) -> NDArray[np.int64]:
    """Which block each row of a sweep holds: all of them, repeated until one batch is full and the last is not."""
    rows = max(blocks, batch + 1)
    if batch > 1 and rows % batch == 0:
        rows += 1
    return np.arange(rows) % blocks


def sweep(
    model: RuntimeModel, luma: Luma, qindex: NDArray[np.uint8], batches: Sequence[int]
) -> dict[int, NDArray[np.float32]]:
    """Logits of `batch_rows` for each batch size, really computed in batches of that size."""
    results = {}
    for batch in batches:
        rows = batch_rows(len(luma), batch)
        parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
        results[batch] = np.concatenate([model.logits(luma[part], qindex[part]) for part in parts])
    return results
