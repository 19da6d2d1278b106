"""Masks that no model made: what a benchmark sets beside the pipeline's."""

import numpy as np
from numpy.typing import NDArray

from integration.encoder import Mask
from integration.flatness import deviation
from integration.pipeline import cut_nodes
from integration.policy import ALL, bits, with_inputs_of_ab
from toolkit.blocks import Luma
from toolkit.partition import HORZ, HORZ_A, HORZ_B, NODE, NONE, SPLIT, STAGES, VERT, VERT_A, VERT_B
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


def shuffled(mask: Mask, luma: Luma, seed: int, node: int = NODE) -> Mask:
    """The mask's entries dealt out at random among the whole nodes of that side: as much is removed, blindly."""
    rows, columns = luma.shape[0] // node, luma.shape[1] // node
    result = mask.copy()
    drawn = np.random.default_rng(seed).permutation(mask[:rows, :columns].ravel())
    result[:rows, :columns] = drawn.reshape(rows, columns)
    return result


def by_variance(mask: Mask, luma: Luma, bit_depth: int, node: int = NODE) -> Mask:
    """The mask's entries dealt out by the nodes' luma variance: as much is removed, by the oldest rule there is.

    Flat nodes get the entries without SPLIT, the most textured ones those with only NONE and SPLIT, the rest lie
    between.
    """
    rows, columns = luma.shape[0] // node, luma.shape[1] // node
    entries = mask[:rows, :columns].ravel()
    only_split = (entries != 0) & (entries & (ALL - bits(NONE, SPLIT)) == 0) & (entries & bits(SPLIT) != 0)
    no_split = (entries != 0) & (entries & bits(SPLIT) == 0)
    rank = only_split.astype(int) - no_split
    places = np.indices((rows, columns)).reshape(2, -1)
    texture = deviation(cut_nodes(luma, Window(node), *places), bit_depth, Window(node))
    dealt = np.empty_like(entries)
    dealt[np.argsort(texture, kind="stable")] = entries[np.argsort(rank, kind="stable")]
    result = mask.copy()
    result[:rows, :columns] = dealt.reshape(rows, columns)
    return result


def forbids(mask: Mask, labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where (rows, columns) the mask forbids the partition that the encoder chose without it."""
    known = (labels <= VERT_B) & (mask != 0)
    forbidden: NDArray[np.bool_] = known & (mask >> np.minimum(labels, VERT_B) & 1 == 0)
    return forbidden
