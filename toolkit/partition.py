"""AV1 partition types of a square node: ids, rectangles, effect of flips, and the stages of the cascade.

These ids (AV1 specification, section 6.10.4) are the only partition numbers anywhere: files, graphs, C.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ToolkitError

NONE, HORZ, VERT, SPLIT, HORZ_A, HORZ_B, VERT_A, VERT_B, HORZ_4, VERT_4 = range(10)
NAMES = ("NONE", "HORZ", "VERT", "SPLIT", "HORZ_A", "HORZ_B", "VERT_A", "VERT_B", "HORZ_4", "VERT_4")
INSIDE_LARGER = 255
"""Label of a node inside a larger block, where the encoder decided nothing about the node itself."""

NODE = 16
"""Default side of a node, in pixels."""
NODES = (8, 16, 32, 64, 128)
"""Sides in pixels of the nodes that models decide about. Data sets, models and pipelines are of one size each."""
SMALLEST, LARGEST = NODES[0], NODES[-1]
"""The nodes that lack some partitions: 8x8 has no AB and no 4-way one, 128x128 no 4-way one."""

AUGMENTATIONS = ("none", "flips", "dihedral")
"""Ways to turn a training block: none, flips along both axes, or flips and transposition."""

Rectangle = tuple[int, int, int, int]
"""Row, column, height, width."""

# In quarters of the node's side.
_QUARTERS: tuple[tuple[Rectangle, ...], ...] = (
    ((0, 0, 4, 4),),
    ((0, 0, 2, 4), (2, 0, 2, 4)),
    ((0, 0, 4, 2), (0, 2, 4, 2)),
    ((0, 0, 2, 2), (0, 2, 2, 2), (2, 0, 2, 2), (2, 2, 2, 2)),
    ((0, 0, 2, 2), (0, 2, 2, 2), (2, 0, 2, 4)),
    ((0, 0, 2, 4), (2, 0, 2, 2), (2, 2, 2, 2)),
    ((0, 0, 2, 2), (2, 0, 2, 2), (0, 2, 4, 2)),
    ((0, 0, 4, 2), (0, 2, 2, 2), (2, 2, 2, 2)),
    ((0, 0, 1, 4), (1, 0, 1, 4), (2, 0, 1, 4), (3, 0, 1, 4)),
    ((0, 0, 4, 1), (0, 1, 4, 1), (0, 2, 4, 1), (0, 3, 4, 1)),
)


def rectangles(partition: int, size: int = NODE) -> tuple[Rectangle, ...]:
    """Blocks of a partition, in pixels, for a node of side `size`, a multiple of 4."""
    q = size // 4
    return tuple((r * q, c * q, h * q, w * q) for r, c, h, w in _QUARTERS[partition])


def partitions_of(node: int) -> tuple[int, ...]:
    """AV1 ids of the partitions that a node of that side, in pixels, can have."""
    return tuple(range({SMALLEST: HORZ_A, LARGEST: HORZ_4}.get(node, len(NAMES))))


def _table(pairs: dict[int, int]) -> NDArray[np.uint8]:
    table = np.arange(256, dtype=np.uint8)
    for a, b in pairs.items():
        table[a], table[b] = b, a
    table.setflags(write=False)
    return table


# Partition id after the pixels were turned: new_ids = TABLE[ids]. 255 stays 255.
FLIP_LEFT_RIGHT = _table({VERT_A: VERT_B})
FLIP_UP_DOWN = _table({HORZ_A: HORZ_B})
TRANSPOSE = _table({HORZ: VERT, HORZ_A: VERT_A, HORZ_B: VERT_B, HORZ_4: VERT_4})


@dataclass(frozen=True)
class Stage:
    """One decision of the cascade: its classes in order, each a group of AV1 partition ids."""

    key: str
    classes: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]

    def targets(self, partitions: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Class index of each AV1 id (uint8, any shape); -1 where the id is in no class of this stage."""
        if partitions.dtype != np.uint8:  # a negative number would silently index from the table's end
            raise ToolkitError(f"Partition ids are {partitions.dtype}, expected uint8.")
        table = np.full(256, -1, dtype=np.int64)
        for index, group in enumerate(self.groups):
            table[list(group)] = index
        result: NDArray[np.int64] = table[partitions]
        return result

    def left_out(self, partitions: NDArray[np.uint8]) -> dict[int, int]:
        """Number of blocks by AV1 id, of the ids in no class of this stage (255: inside a larger block)."""
        ids, counts = np.unique(partitions[self.targets(partitions) < 0], return_counts=True)
        return dict(zip(ids.tolist(), counts.tolist(), strict=True))


STAGES = {
    stage.key: stage
    for stage in (
        Stage("1", ("NONE", "PARTITION"), ((NONE,), tuple(range(1, 10)))),
        Stage("2", ("SPLIT", "RECT", "AB"), ((SPLIT,), (HORZ, VERT), (HORZ_A, HORZ_B, VERT_A, VERT_B))),
        Stage("3-rect", ("HORZ", "VERT"), ((HORZ,), (VERT,))),
        Stage("3-ab", ("HORZ_A", "HORZ_B", "VERT_A", "VERT_B"), ((HORZ_A,), (HORZ_B,), (VERT_A,), (VERT_B,))),
    )
}


def stages_of(node: int) -> dict[str, Stage]:
    """Stages that nodes of that side, in pixels, have, without the partitions that such nodes cannot have.

    8x8 nodes have no AB: their Stage 2 is SPLIT or RECT, and they have no Stage 3-ab.
    """
    possible = set(partitions_of(node))
    found = {}
    for key, stage in STAGES.items():
        groups = [tuple(partition for partition in group if partition in possible) for group in stage.groups]
        kept = [(name, group) for name, group in zip(stage.classes, groups, strict=True) if group]
        if len(kept) > 1:
            found[key] = Stage(key, tuple(name for name, _ in kept), tuple(group for _, group in kept))
    return found


def stage_of(key: str, node: int) -> Stage:
    """One of `stages_of`; ToolkitError where nodes of that side have no such stage."""
    stages = stages_of(node)
    if key not in stages:
        about = f" ({', '.join(STAGES[key].classes)})" if key in STAGES else ""
        raise ToolkitError(
            f"Stage {key!r:.80}{about}: {node}x{node} nodes have no such choice; expected one of {', '.join(stages)}."
        )
    return stages[key]
