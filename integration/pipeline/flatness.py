"""How flat a node is: cheap to know of a whole frame, before any network is asked."""

import numpy as np
from numpy.typing import NDArray

from toolkit.data.blockset import Luma
from toolkit.windows import Window


def deviation(luma: Luma, bit_depth: int, window: Window) -> NDArray[np.float64]:
    """Standard deviation (N,) of the nodes in the middle of windows (N, 1, S, S), as a share of full scale.

    From 0 (one value) to 0.5. Sums are of integers, so that it is the same wherever it is computed.
    """
    inside = slice(window.context, window.context + window.node)
    nodes = luma[:, 0, inside, inside].reshape(len(luma), window.node**2).astype(np.uint32)
    count = nodes.shape[1]
    total = nodes.sum(axis=1, dtype=np.uint64).astype(np.int64)
    # At 16 bit a square just fits 32 bits; their sum needs 64.
    squares = np.einsum("nk,nk->n", nodes, nodes, dtype=np.uint64).astype(np.int64)
    result: NDArray[np.float64] = np.sqrt(count * squares - total * total) / (count * ((1 << bit_depth) - 1))
    return result
