"""Masks that no model made, which a benchmark compares with the pipeline's."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from integration.codec.encoder import Mask
from integration.pipeline.policy import ALL, bits, deviation, with_inputs_of_ab
from toolkit.data.blockset import Luma
from toolkit.partition import HORZ, HORZ_A, HORZ_B, NONE, SPLIT, STAGES, VERT, VERT_4, VERT_A, VERT_B
from toolkit.windows import Window, cut_windows

_DIRECTION = {HORZ_A: HORZ, HORZ_B: HORZ, VERT_A: VERT, VERT_B: VERT}


def oracle(labels: NDArray[np.uint8], stages: str) -> Mask:
    """Mask (rows, columns) of a perfect cascade, from the labels of an encode without masks.

    `stages` "2" allows NONE and the label's class in Stage 2; an AB keeps the partitions it is searched from, as under
    every policy. A node coded as NONE, which is in no class of Stage 2, stays unrestricted. "1+2+3" allows the label
    alone, with HORZ or VERT where libaom needs it to search an AB. Nodes inside larger blocks, cut by the frame's edge,
    or of a class that no stage has (4-way) stay unrestricted.
    """
    table = np.zeros(256, np.uint16)
    if stages == "1+2+3":
        for label in range(VERT_B + 1):
            table[label] = bits(label, _DIRECTION.get(label, label))
    else:
        for group in STAGES["2"].groups:
            for label in group:
                table[label] = bits(NONE, *group)
        table = with_inputs_of_ab(table)
    result: Mask = table[labels]
    return result


def dealt(made: Mapping[int, Mask], luma: Luma, bit_depth: int, by: str, seed: int = 0) -> dict[int, Mask]:
    """Reassign a frame's masks, by node size, to other whole nodes: a control that prunes equally much.

    `by` "random" reassigns at random, drawn by `seed`. "variance" follows the oldest rule there is: flat nodes get the
    entries without SPLIT, the most textured nodes those that allow only NONE and SPLIT, the others lie between.

    The largest nodes come first. Entries of smaller nodes go to the nodes that the reassigned masks of larger ones let
    the search reach. Where these are more or fewer than the pipeline was asked about, every entry is used
    proportionally more or less often.
    """
    result: dict[int, Mask] = {}
    for node in sorted(made, reverse=True):
        mask, whole = made[node], np.zeros(made[node].shape, bool)
        whole[: luma.shape[0] // node, : luma.shape[1] // node] = True
        larger = {size: mask for size, mask in made.items() if size > node}
        entries = mask[whole & reached(larger, node, luma.shape)]
        row, column = np.nonzero(whole & reached(result, node, luma.shape))
        result[node] = np.zeros_like(mask)
        if not len(entries) or not len(row):
            continue
        if by == "random":
            entries = np.random.default_rng(seed).permutation(entries)
        else:
            entries = entries[np.argsort(_rank(entries), kind="stable")]
            texture = deviation(cut_nodes(luma, Window(node), row, column), bit_depth, Window(node))
            order = np.argsort(texture, kind="stable")
            row, column = row[order], column[order]
        result[node][row, column] = entries[np.arange(len(row)) * len(entries) // len(row)]
    return result


def reached(larger: Mapping[int, Mask], node: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether the masks of larger nodes, by size, let the search reach each node of size `node`, (rows, columns)."""
    rows, columns = -(-shape[0] // node), -(-shape[1] // node)
    result = np.ones((rows, columns), bool)
    for size, mask in larger.items():
        split = (mask == 0) | (mask & bits(SPLIT) != 0)
        result &= split.repeat(size // node, 0).repeat(size // node, 1)[:rows, :columns]
    return result


def cut_nodes(luma: Luma, window: Window, row: NDArray[np.int64], column: NDArray[np.int64]) -> Luma:
    """Windows (N, 1, S, S) around the nodes of a frame (H, W) at `row` and `column` (N,), which count nodes.

    Code values are untouched. The function that cuts them is the data set's own, so that training and encoder see the
    same windows, at the frame's edges as well.
    """
    return cut_windows(luma[None], np.zeros_like(row), row * window.node, column * window.node, window)


def _rank(entries: Mask) -> NDArray[np.int64]:
    """Rank of each entry: -1 without SPLIT, 1 with SPLIT and at most NONE beside it, 0 otherwise."""
    only_split = (entries != 0) & (entries & (ALL - bits(NONE, SPLIT)) == 0) & (entries & bits(SPLIT) != 0)
    no_split = (entries != 0) & (entries & bits(SPLIT) == 0)
    rank: NDArray[np.int64] = only_split.astype(np.int64) - no_split
    return rank


def forbids(mask: Mask, labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether the mask forbids the partition that the encoder chose without it, at each node (rows, columns)."""
    known = (labels <= VERT_4) & (mask != 0)
    forbidden: NDArray[np.bool_] = known & (mask >> np.minimum(labels, VERT_4) & 1 == 0)
    return forbidden
