"""Drawing some of the blocks: by seed alone, or so that every class and every qindex is there."""

import numpy as np
from numpy.typing import NDArray


def draw(index: NDArray[np.int64], limit: int | None, seed: int) -> NDArray[np.int64]:
    """At most `limit` of these positions, without replacement, by the seed, sorted."""
    if limit is None or limit >= len(index):
        return index
    return np.sort(np.random.default_rng(seed).choice(index, limit, replace=False))


def stratified_index(target: NDArray[np.int64], qindex: NDArray[np.uint8], limit: int, seed: int) -> NDArray[np.int64]:
    """At most `limit` positions of (N,) arrays, sorted, as even over (class, qindex) pairs as the data allow.

    Each pair's positions are shuffled by the seed, and all pairs give their first, then all their second, and so on.
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
