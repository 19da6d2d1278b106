"""Flips and transposition of blocks. Their effect on a label is looked up in toolkit.partition, never assumed."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolkit.partition import FLIP_LEFT_RIGHT, FLIP_UP_DOWN, NODE, TRANSPOSE, stage_of

# Each operation: the change of pixels, and the table from AV1 id to AV1 id. Bit k of a view: operation k is done.
_OPERATIONS: tuple[tuple[Callable[[Tensor], Tensor], NDArray[np.uint8]], ...] = (
    (lambda x: torch.flip(x, (-1,)), FLIP_LEFT_RIGHT),
    (lambda x: torch.flip(x, (-2,)), FLIP_UP_DOWN),
    (lambda x: x.transpose(-1, -2), TRANSPOSE),
)
_USED = {"none": 0, "flips": 2, "dihedral": 3}


def views(kind: str) -> int:
    """Number of views in which the augmentation can show a block: 1, 4 or 8."""
    return 1 << _USED[kind]


def draw_views(kind: str, count: int, generator: torch.Generator) -> Tensor:
    """Random views (count,) int64 of the augmentation, from a CPU generator."""
    return torch.randint(views(kind), (count,), generator=generator)


def turn(luma: Tensor, view: int) -> Tensor:
    """Turn all blocks (N, 1, H, W) into one view."""
    for bit, (change, _) in enumerate(_OPERATIONS):
        if view >> bit & 1:
            luma = change(luma)
    return luma


def turn_each(luma: Tensor, view: Tensor, kind: str = "dihedral") -> Tensor:
    """Turn each block of (N, 1, H, W) into its own view, (N,) int64, one that the augmentation `kind` has."""
    for bit, (change, _) in enumerate(_OPERATIONS[: _USED[kind]]):
        chosen = (view >> bit & 1).bool()
        luma = torch.where(chosen[:, None, None, None], change(luma), luma)
    return luma


def class_orders(stage: str, kind: str, node: int = NODE) -> Tensor:
    """Table (views, classes) int64 from a class of the stored block to the class of the turned block.

    The classes are those that the stage has at nodes of side `node`.
    """
    own = stage_of(stage, node)
    table = torch.from_numpy(own.targets(np.arange(256, dtype=np.uint8)))
    orders = []
    for view in range(views(kind)):
        order = []
        for group in own.groups:  # all partitions of a class turn into one class
            (target,) = set(table[turned_labels(torch.tensor(group), torch.full((len(group),), view))].tolist())
            order.append(target)
        orders.append(order)
    return torch.tensor(orders)


def turned_classes(stage: str, kind: str, node: int = NODE) -> Tensor:
    """Table (views, classes) int64 from a class of the turned block to the class of the stored block."""
    return torch.argsort(class_orders(stage, kind, node), dim=1)


def turned_labels(partition: Tensor, view: Tensor) -> Tensor:
    """AV1 ids (N,) int64 of the blocks after turning each into its view."""
    for bit, (_, table) in enumerate(_OPERATIONS):
        ids = torch.from_numpy(table.astype(np.int64)).to(partition.device)
        partition = torch.where((view >> bit & 1).bool(), ids[partition], partition)
    return partition
