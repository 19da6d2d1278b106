"""The pixels that a model looks at: a 16x16 node and N source pixels around it. Cut here for every consumer alike."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from toolkit.errors import ToolkitError
from toolkit.partition import NODE

CONTEXTS = (0, 4, 8, 12, 16)
"""Multiples of 4: networks that halve twice then have the node on whole cells of their map."""


def window_size(context: int) -> int:
    """Rows and columns of a window; ToolkitError unless the context is one of CONTEXTS."""
    if isinstance(context, bool) or context not in CONTEXTS:
        raise ToolkitError(f"Context {context!r:.80}: expected one of {', '.join(map(str, CONTEXTS))} pixels.")
    return NODE + 2 * context


def context_of(luma: NDArray[Any]) -> int | None:
    """The context of windows (N, 1, S, S); None where the shape is no window's."""
    if luma.ndim != 4 or luma.shape[1] != 1 or luma.shape[2] != luma.shape[3]:
        return None
    context = (luma.shape[3] - NODE) // 2
    return context if context in CONTEXTS and luma.shape[3] == window_size(context) else None


def cut_windows(
    planes: NDArray[Any],
    frame: NDArray[np.integer[Any]],
    row: NDArray[np.integer[Any]],
    column: NDArray[np.integer[Any]],
    context: int,
) -> NDArray[Any]:
    """Windows (N, 1, S, S) around the nodes at frame, row, column (N,), in pixels, of planes (frames, height, width).

    S = 16 + 2 x context. Beyond the frame's edge its outermost pixels are repeated. Code values are untouched.
    """
    size, (_, height, width) = window_size(context), planes.shape
    frame, top, left = (values.astype(np.int64) for values in (frame, row, column))
    top, left = top - context, left - context
    result = np.empty((len(frame), 1, size, size), planes.dtype)
    inside = (top >= 0) & (left >= 0) & (top + size <= height) & (left + size <= width)
    if inside.any():  # whole rows are copied, which is several times faster than pixel by pixel
        windows = sliding_window_view(planes, (size, size), axis=(1, 2))
        result[inside, 0] = windows[frame[inside], top[inside], left[inside]]
    if not inside.all():
        cut, offset = ~inside, np.arange(size)
        r = np.clip(top[cut][:, None] + offset, 0, height - 1)[:, :, None]
        c = np.clip(left[cut][:, None] + offset, 0, width - 1)[:, None, :]
        result[cut, 0] = planes[frame[cut][:, None, None], r, c]
    return result


def centre(luma: NDArray[Any], context: int) -> NDArray[Any]:
    """The windows (N, 1, S, S) with less context around the same nodes; ToolkitError where they have less already."""
    size = window_size(context)
    off = (luma.shape[-1] - size) // 2
    if context_of(luma) is None or off < 0:
        raise ToolkitError(f"Windows of shape {luma.shape}: expected (N, 1, {size}, {size}) or larger ones.")
    return luma[..., off : off + size, off : off + size]
