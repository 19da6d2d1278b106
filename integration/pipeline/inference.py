"""A cascade's answers to blocks of a data set, a bounded number of them in memory at a time."""

import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from integration.pipeline.flatness import deviation
from integration.pipeline.stages import Cascade
from toolkit.data.blockset import BlockSet

CHUNK = 16384
"""Blocks in memory at a time."""


class Inference(NamedTuple):
    """Of N blocks: each stage's probabilities (N, classes), `flatness.deviation` (N,), CPU seconds that all took."""

    probabilities: dict[str, NDArray[np.float64]]
    deviation: NDArray[np.float64]
    seconds: float


def infer(cascade: Cascade, data: BlockSet, index: NDArray[np.int64]) -> Inference:
    """Ask every stage about the blocks at positions (N,), N >= 1; the seconds are those of the models alone.

    Raises ToolkitError where the data are of other nodes, where a source has no surroundings for the cascade's window,
    or a model gives no numbers.
    """
    parts: dict[str, list[NDArray[np.float64]]] = {stage: [] for stage in cascade.stages}
    flatness = []
    seconds = 0.0
    for start in range(0, len(index), CHUNK):
        blocks = data.take(index[start : start + CHUNK], window=cascade.window)
        flatness.append(deviation(blocks.luma, blocks.bit_depth, blocks.window))
        before = time.process_time()
        answers = cascade.every(blocks.luma, blocks.qindex)
        seconds += time.process_time() - before
        for stage, p in answers.items():
            parts[stage].append(p)
    probabilities = {stage: np.concatenate(found) for stage, found in parts.items()}
    return Inference(probabilities, np.concatenate(flatness), seconds)
