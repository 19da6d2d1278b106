"""The masks of a frame in NumPy: the rules once more, against which the engine in C is tested."""

import ctypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from integration.bench.control_masks import cut_nodes, reached
from integration.codec.config import NODE_SIZES
from integration.codec.masker import Masker
from integration.codec.masks import Mask, MaskSource
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.policy import Ask, Policy, deviation
from integration.pipeline.stages import Cascade
from toolkit.data.blockset import Luma


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
