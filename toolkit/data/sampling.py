"""Draw some of the blocks: evenly, or so that every class and every qindex is represented."""

import numpy as np
from numpy.typing import NDArray


def draw(index: NDArray[np.int64], limit: int | None, seed: int) -> NDArray[np.int64]:
    """Draw at most `limit` positions of `index` by the seed, without replacement; they come back sorted."""
    if limit is None or limit >= len(index):
        return index
    return np.sort(np.random.default_rng(seed).choice(index, limit, replace=False))


def stratified_index(target: NDArray[np.int64], qindex: NDArray[np.uint8], limit: int, seed: int) -> NDArray[np.int64]:
    """Draw at most `limit` positions of (N,) arrays, spread evenly over the pairs of class and qindex; sorted.

    The seed shuffles each pair's positions. Every pair then gives its first one, every pair its second, and so on.
    """
    if len(target) <= limit:
        return np.arange(len(target))
    order = np.random.default_rng(seed).permutation(len(target))
    stratum = target[order] * 256 + qindex[order]
    by_stratum = np.argsort(stratum, kind="stable")
    _, starts, counts = np.unique(stratum[by_stratum], return_index=True, return_counts=True)
    rank = np.empty(len(target), np.int64)
    rank[by_stratum] = np.arange(len(target)) - np.repeat(starts, counts)
    return np.sort(order[np.argsort(rank, kind="stable")[:limit]])
