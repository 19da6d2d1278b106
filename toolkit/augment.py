"""Flips and transposition of blocks. What they do to a label is looked up in toolkit.partition, never assumed."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolkit.partition import FLIP_LEFT_RIGHT, FLIP_UP_DOWN, TRANSPOSE

# Each operation: the change of pixels, and the table of what it does to the AV1 id.
_OPERATIONS: tuple[tuple[Callable[[Tensor], Tensor], NDArray[np.uint8]], ...] = (
    (lambda x: torch.flip(x, (-1,)), FLIP_LEFT_RIGHT),
    (lambda x: torch.flip(x, (-2,)), FLIP_UP_DOWN),
    (lambda x: x.transpose(-1, -2), TRANSPOSE),
)
_USED = {"none": 0, "flips": 2, "dihedral": 3}


def augment(luma: Tensor, partition: Tensor, kind: str, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Apply each operation to each block with probability one half, to its pixels and its AV1 id together.

    luma (N, 1, 16, 16); partition (N,) int64 AV1 ids. `generator` is a CPU one. Returns new tensors.
    """
    for change, table in _OPERATIONS[: _USED[kind]]:
        chosen = (torch.rand(len(luma), generator=generator) < 0.5).to(luma.device)
        ids = torch.from_numpy(table.astype(np.int64)).to(partition.device)
        luma = torch.where(chosen[:, None, None, None], change(luma), luma)
        partition = torch.where(chosen, ids[partition], partition)
    return luma, partition
