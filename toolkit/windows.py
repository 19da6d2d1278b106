"""Cut the windows that models look at: a node and N source pixels around it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from toolkit.errors import ToolkitError
from toolkit.partition import NODE, NODES

CONTEXTS = (0, 4, 8, 12, 16)
"""Allowed widths of the margin, in pixels. Multiples of 4, so that a network that halves the map twice keeps the node
on whole cells."""


@dataclass(frozen=True)
class Window:
    """A square node of `node` pixels a side with `context` source pixels around it, on each side.

    The two numbers travel together, because 32x32 pixels may be a 32x32 node or a 16x16 node and its surroundings.
    Raises ToolkitError on a node that is not in NODES or a context that is not in CONTEXTS.
    """

    node: int = NODE
    context: int = 0

    def __post_init__(self) -> None:
        for name, value, allowed in (("Node", self.node, NODES), ("Context", self.context, CONTEXTS)):
            if isinstance(value, bool) or value not in allowed:
                expected = ", ".join(map(str, allowed))
                raise ToolkitError(f"{name} {value!r:.80}: expected one of {expected} pixels.")

    @property
    def size(self) -> int:
        """Number of rows, and of columns, in pixels."""
        return self.node + 2 * self.context

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of one window."""
        return (1, self.size, self.size)

    def __str__(self) -> str:
        return f"{self.node}x{self.node} node, context {self.context}"


ALONE = Window()
"""A 16x16 node without context."""


def cut_windows(
    planes: NDArray[Any],
    frame: NDArray[np.integer[Any]],
    row: NDArray[np.integer[Any]],
    column: NDArray[np.integer[Any]],
    window: Window,
) -> NDArray[Any]:
    """Windows (N, 1, S, S) of planes (frames, height, width), around the nodes at frame, row, column (N,), in pixels.

    Outside the frame its outermost pixels are repeated. Code values stay as they are.
    """
    size, (_, height, width) = window.size, planes.shape
    frame, top, left = (values.astype(np.int64) for values in (frame, row, column))
    top, left = top - window.context, left - window.context
    result = np.empty((len(frame), *window.shape), planes.dtype)
    inside = (top >= 0) & (left >= 0) & (top + size <= height) & (left + size <= width)
    if inside.any():  # a copy of whole rows is several times faster than one pixel by pixel
        windows = sliding_window_view(planes, (size, size), axis=(1, 2))
        result[inside, 0] = windows[frame[inside], top[inside], left[inside]]
    if not inside.all():
        cut, offset = ~inside, np.arange(size)
        r = np.clip(top[cut][:, None] + offset, 0, height - 1)[:, :, None]
        c = np.clip(left[cut][:, None] + offset, 0, width - 1)[:, None, :]
        result[cut, 0] = planes[frame[cut][:, None, None], r, c]
    return result


def centre(luma: NDArray[Any], window: Window, narrower: Window) -> NDArray[Any]:
    """Crop windows (N, 1, S, S) of `window` to less context around the same nodes.

    Raises ToolkitError where `luma` has another shape, or `narrower` has another node or more context.
    """
    off = window.context - narrower.context
    if luma.ndim != 4 or luma.shape[1:] != window.shape or window.node != narrower.node or off < 0:
        raise ToolkitError(
            f"Windows of shape {luma.shape} ({window}): expected (N, {', '.join(map(str, window.shape))}), "
            f"to take a {narrower} out of them."
        )
    return luma[..., off : off + narrower.size, off : off + narrower.size]
