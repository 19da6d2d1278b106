"""How flat a node is: cheap to know of a whole frame, before any network is asked."""

import numpy as np
from numpy.typing import NDArray

from toolkit.blocks import Luma
from toolkit.partition import NODE


def deviation(luma: Luma, bit_depth: int) -> NDArray[np.float64]:
    """Standard deviation (N,) of the 16x16 nodes in the middle of windows (N, 1, S, S), as a share of full scale.

    From 0 (one value) to 0.5. Sums are of integers, so that it is the same wherever it is computed.
    """
    margin = (luma.shape[-1] - NODE) // 2
    inside = slice(margin, margin + NODE)
    nodes = luma[:, 0, inside, inside].reshape(len(luma), -1).astype(np.uint32)
    count = nodes.shape[1]
    total = nodes.sum(axis=1, dtype=np.uint64).astype(np.int64)
    # At 16 bit a square just fits 32 bits; their sum needs 64.
    squares = np.einsum("nk,nk->n", nodes, nodes, dtype=np.uint64).astype(np.int64)
    result: NDArray[np.float64] = np.sqrt(count * squares - total * total) / (count * ((1 << bit_depth) - 1))
    return result
