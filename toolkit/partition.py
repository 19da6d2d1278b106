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
NODES = (16, 32)
"""Sides in pixels of the nodes that models decide about. Data sets, models and pipelines are of one size each."""

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
