"""Masks that no model made: what a benchmark sets beside the pipeline's."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from integration.codec.encoder import Mask
from integration.pipeline.flatness import deviation
from integration.pipeline.pipeline import cut_nodes
from integration.pipeline.pipeline_set import reached
from integration.pipeline.policy import ALL, bits, with_inputs_of_ab
from toolkit.data.blockset import Luma
from toolkit.partition import HORZ, HORZ_A, HORZ_B, NONE, SPLIT, STAGES, VERT, VERT_A, VERT_B
from toolkit.windows import Window

_DIRECTION = {HORZ_A: HORZ, HORZ_B: HORZ, VERT_A: VERT, VERT_B: VERT}


def oracle(labels: NDArray[np.uint8], stages: str) -> Mask:
    """Mask (rows, columns) of a perfect cascade, from the labels of an encode without masks.

    `stages` "2": the label's class of Stage 2, and NONE; an AB keeps its inputs, as under every policy; a node coded as
    NONE, of which Stage 2 knows nothing, stays free. "1+2+3": the label alone (with HORZ or VERT where libaom needs it
    to search an AB). Nodes inside larger blocks, cut by the edge or of a class that no stage knows (4-way) stay free.
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
    """A pipeline's masks of a frame, by node size, dealt out to other whole nodes: as much is removed.

    `by` "random" deals blindly, drawn by `seed`; "variance" by the oldest rule there is: flat nodes get the entries
    without SPLIT, the most textured ones those with only NONE and SPLIT, the rest lie between. The larger nodes come
    first; what smaller ones were given goes to nodes that the larger ones' dealt masks leave to be searched, each entry
    as often as these are more or fewer than the pipeline was asked about.
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


def _rank(entries: Mask) -> NDArray[np.int64]:
    """-1 for entries without SPLIT, 1 for those with no more than NONE and SPLIT, 0 for others."""
    only_split = (entries != 0) & (entries & (ALL - bits(NONE, SPLIT)) == 0) & (entries & bits(SPLIT) != 0)
    no_split = (entries != 0) & (entries & bits(SPLIT) == 0)
    rank: NDArray[np.int64] = only_split.astype(np.int64) - no_split
    return rank


def forbids(mask: Mask, labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where (rows, columns) the mask forbids the partition that the encoder chose without it."""
    known = (labels <= VERT_B) & (mask != 0)
    forbidden: NDArray[np.bool_] = known & (mask >> np.minimum(labels, VERT_B) & 1 == 0)
    return forbidden
