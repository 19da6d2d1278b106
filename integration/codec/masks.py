"""Masks: the partitions that may be searched at each node, for one node size or several."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from integration.codec.config import NODE_SIZES
from toolkit.data.blockset import Luma
from toolkit.errors import ToolkitError
from toolkit.partition import NODE

Mask = NDArray[np.uint16]
"""(rows, columns) of nodes: bit k allows AV1 partition id k, 0 restricts nothing."""
Masks = Mapping[int, Mask]
"""Mask by node size; nodes of a size without a mask are not restricted."""
MaskSource = Callable[[Luma, int], Mask | Masks | None]
"""Function from luma (H, W) and qindex 0-255 to masks, or None for no mask. A mask alone is for 16x16 nodes."""


def by_node_size(mask: Mask | Masks) -> Masks:
    """Masks by node size; a mask alone is taken for that of 16x16 nodes."""
    return mask if isinstance(mask, Mapping) else {NODE: mask}


def check_masks(masks: Mapping[Any, Any], grids: Mapping[int, tuple[int, int]]) -> None:
    """Raise ToolkitError unless each mask is uint16, of its node size's grid (rows, columns), with bits 0 to 9 only."""
    for node_size, mask in masks.items():
        if node_size not in grids:
            sizes = ", ".join(map(str, NODE_SIZES))
            raise ToolkitError(f"Mask: of nodes of size {node_size!r}, expected one of {sizes}.")
        if not isinstance(mask, np.ndarray) or mask.dtype != np.uint16 or mask.shape != grids[node_size]:
            found = f"{mask.dtype}{mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
            expected = f"uint16{grids[node_size]}, one entry a {node_size}x{node_size} node"
            raise ToolkitError(f"Mask: {found}, expected {expected}.")
        if mask.size and int(mask.max()) >= 1 << 10:
            raise ToolkitError(f"Mask: {int(mask.max()):#x} has bits beyond 9; bit k allows AV1 partition id k.")
