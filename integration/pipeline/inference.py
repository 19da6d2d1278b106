"""A cascade's answers about blocks of a data set, with a bounded number of blocks in memory."""

import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from integration.pipeline.policy import deviation
from integration.pipeline.stages import Cascade
from toolkit.data.blockset import BlockSet
from toolkit.processes import spent_apart
from toolkit.progress import track

CHUNK, PIXELS = 16384, 1 << 24
"""Blocks in memory at a time, and their pixels: windows of large nodes are fewer."""


class Inference(NamedTuple):
    """Answers about N blocks: each stage's probabilities (N, classes), `policy.deviation` (N,), and CPU seconds.

    The seconds are those of the models alone, without reading blocks.
    """

    probabilities: dict[str, NDArray[np.float64]]
    deviation: NDArray[np.float64]
    seconds: float


def infer(cascade: Cascade, data: BlockSet, index: NDArray[np.int64]) -> Inference:
    """Ask every stage about the blocks at positions (N,), N >= 1.

    Raises ToolkitError where the data have nodes of another size, where a source lacks the surroundings that the
    cascade looks at, and where a model gives no finite numbers.
    """
    parts: dict[str, list[NDArray[np.float64]]] = {stage: [] for stage in cascade.stages}
    flatness = []
    seconds = 0.0
    chunk = min(CHUNK, PIXELS // cascade.window.size**2)
    for start in track(range(0, len(index), chunk), "asking the models"):
        blocks = data.take(index[start : start + chunk], window=cascade.window)
        flatness.append(deviation(blocks.luma, blocks.bit_depth, blocks.window))
        before = time.process_time() + spent_apart()
        answers = cascade.every(blocks.luma, blocks.qindex)
        seconds += time.process_time() + spent_apart() - before
        for stage, p in answers.items():
            parts[stage].append(p)
    probabilities = {stage: np.concatenate(found) for stage, found in parts.items()}
    return Inference(probabilities, np.concatenate(flatness), seconds)
