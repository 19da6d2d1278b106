"""Size of a proof that a model affords, decided by its floating-point operations. Most models afford a full one."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from export.compare.config import LIMIT
from toolkit.data.blockset import Blocks
from toolkit.model.network import Classifier, to_input

LEAST = 16
_REFERENCE, _CALL = 5e11, 1e13
"""Most operations of the float64 reference and of one call: half a minute, and minutes, on one core. A block takes
ViT-B/16 3.5e10 operations, resnet18-se 3e7."""


def operations(model: Classifier, blocks: Blocks) -> int:
    """Floating-point operations of the forward pass of the first of these blocks (at least one)."""
    inputs = to_input(*blocks[:1].inputs, config=model.config)
    # With gradients on, attention runs as single operators; the counter knows no fused ones.
    with FlopCounterMode(display=False) as counter, torch.enable_grad():
        model(*inputs)
    return int(counter.get_total_flops())


def affordable(model: Classifier, blocks: Blocks) -> int:
    """Most blocks of a float64 reference: LIMIT, fewer for a large model, never below 16."""
    return int(np.clip(_REFERENCE // operations(model, blocks), LEAST, LIMIT))


def affordable_budget_blocks(model: Classifier, blocks: Blocks) -> Blocks:
    """A checkpoint's budget blocks, thinned to as many as its model affords; none stay none."""
    return thinned(blocks, affordable(model, blocks)) if len(blocks) else blocks


def affordable_batches(model: Classifier, blocks: Blocks, batches: Sequence[int]) -> tuple[int, ...]:
    """Batch sizes that one call affords; at least the smallest."""
    most = _CALL / operations(model, blocks)
    return tuple(b for b in batches if b <= most) or (min(batches),)


def thinned(blocks: Blocks, count: int) -> Blocks:
    """At most `count` of the blocks, evenly spaced."""
    if len(blocks) <= count:
        return blocks
    return blocks[np.linspace(0, len(blocks) - 1, count).astype(np.int64)]
