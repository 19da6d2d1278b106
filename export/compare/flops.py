"""How much of a proof a model can afford: its floating-point operations, counted, decide. Most models afford it all."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from export.compare.config import LIMIT
from toolkit.data.blockset import Blocks
from toolkit.model.network import Classifier, to_input

LEAST = 16
_REFERENCE, _CALL = 5e11, 1e13
"""Operations of the float64 reference and of one call: half a minute and minutes on one core. ViT-B/16 takes 3.5e10 a
block, resnet18-se 3e7."""


def operations(model: Classifier, blocks: Blocks) -> int:
    """Floating-point operations of the forward pass of one of these blocks (N >= 1)."""
    luma, qindex = to_input(blocks.luma[:1], blocks.qindex[:1], blocks.bit_depth, window=blocks.window)
    # With gradients on, attention runs as single operators, which the counter knows.
    with FlopCounterMode(display=False) as counter, torch.enable_grad():
        model(luma, qindex)
    return int(counter.get_total_flops())


def affordable(model: Classifier, blocks: Blocks) -> int:
    """How many blocks a float64 reference may have: LIMIT, or fewer of a large model, 16 at least."""
    return int(np.clip(_REFERENCE // operations(model, blocks), LEAST, LIMIT))


def affordable_batches(model: Classifier, blocks: Blocks, batches: Sequence[int]) -> tuple[int, ...]:
    """The batch sizes that one call can afford; the smallest at least."""
    most = _CALL / operations(model, blocks)
    return tuple(b for b in batches if b <= most) or (min(batches),)


def thinned(blocks: Blocks, count: int) -> Blocks:
    """At most so many of the blocks, evenly spaced."""
    if len(blocks) <= count:
        return blocks
    return blocks[np.linspace(0, len(blocks) - 1, count).astype(np.int64)]
