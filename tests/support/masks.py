"""The masks of a frame in NumPy: the rules once more, against which the engine in C is tested."""

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from integration.codec.config import NODE_SIZES
from integration.codec.masker import Masker
from integration.codec.masks import Mask, MaskSource
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.policy import Ask, Policy, bits, deviation
from integration.pipeline.stages import Cascade
from toolkit.data.blockset import Luma
from toolkit.partition import SPLIT
from toolkit.windows import Window, cut_windows


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


def asker(cascade: Cascade, luma: Luma, qindex: NDArray[np.uint8]) -> Ask:
    """Function through which a policy asks about these blocks; models run only on the blocks asked about."""

    def ask(stage: str, index: NDArray[np.int64]) -> NDArray[np.float64] | None:
        if stage not in cascade.models:
            return None
        return cascade.probabilities(stage, luma[index], qindex[index])

    return ask


def frame_mask(
    cascade: Cascade, policy: Policy, luma: Luma, qindex: int, bit_depth: int, asked: NDArray[np.bool_] | None = None
) -> Mask:
    """`Pipeline.mask` of any cascade and policy; nodes where `asked`, of the mask's shape, is false are 0."""
    node, (height, width) = cascade.window.node, luma.shape
    result = np.zeros((-(-height // node), -(-width // node)), np.uint16)
    wanted = np.ones((height // node, width // node), bool)
    if asked is not None:
        wanted &= asked[: height // node, : width // node]
    row, column = np.nonzero(wanted)
    if len(row):
        blocks = cut_nodes(luma, cascade.window, row, column)
        qindexes = np.full(len(blocks), qindex, np.uint8)
        flatness = deviation(blocks, bit_depth, cascade.window)
        result[row, column] = policy.masks(qindexes, flatness, asker(cascade, blocks, qindexes), node)
    return result


def numpy_masks(pipelines: Sequence[Pipeline]) -> MaskSource:
    """`PipelineSet.mask` of these pipelines."""

    def masks(luma: Luma, qindex: int) -> dict[int, Mask]:
        found: dict[int, Mask] = {}
        for pipeline in sorted(pipelines, key=lambda p: p.node, reverse=True):
            asked = reached(found, pipeline.node, luma.shape)
            made = frame_mask(pipeline.cascade, pipeline.policy, luma, qindex, pipeline.bit_depth, asked)
            found[pipeline.node] = made
        return found

    return masks


def masker_of_folders(folders: Sequence[Path], bit_depth: int = 8) -> Masker:
    """The engine as a host in C fills it, from the folders' own `hook.txt`; its masks are of every node size."""
    masker, detail = Masker(bit_depth), ctypes.create_string_buffer(256)
    for folder in folders:
        status = masker._library.av1part_masker_load(masker._handle, str(folder).encode(), detail, len(detail))
        masker._check(status, detail)
    masker._nodes = list(NODE_SIZES)
    return masker
