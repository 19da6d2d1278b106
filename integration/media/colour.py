"""Conversion of a photograph's RGB to the 4:2:0 planes that an encoder takes (ITU-R BT.601).

BT.601 in limited range is what players take for granted where a stream says nothing, so that the colours are right
also in a player that does not look at what the stream says. It is what ffmpeg converts photographs to, and AVIF
encoders take the same matrix.
"""

import numpy as np
from numpy.typing import NDArray

from integration.codec.config import Colour

BT601 = 6
"""Number of BT.601's matrix in ITU-T H.273."""
SRGB = Colour(primaries=1, transfer=13, matrix=BT601, full_range=False)
"""Description of sRGB, converted by `rgb_to_planes`."""
_RED, _BLUE = 0.299, 0.114


def rgb_to_planes(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Convert full-range RGB (H, W, 3) to Y (H, W), U and V (ceil(H/2), ceil(W/2)) in BT.601's limited range.

    Chroma is the mean of 2x2 pixels, of which an odd picture's last row and column have copies of their own. Only
    integers are computed with, so that every machine gives the same planes.
    """
    green = 1 - _RED - _BLUE
    luma = np.array([_RED, green, _BLUE]) * 219 / 255
    to_blue = np.array([-_RED, -green, 1 - _BLUE]) / (2 * (1 - _BLUE)) * 224 / 255
    to_red = np.array([1 - _RED, -green, -_BLUE]) / (2 * (1 - _RED)) * 224 / 255
    wide = rgb.astype(np.int32)
    even = np.pad(wide, ((0, len(wide) % 2), (0, wide.shape[1] % 2), (0, 0)), "edge")
    quad = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]

    def mix(values: NDArray[np.int32], weights: NDArray[np.float64], offset: int, scale: int) -> NDArray[np.uint8]:
        fixed = np.rint(weights * 65536).astype(np.int32)
        total = values[..., 0] * fixed[0] + values[..., 1] * fixed[1] + values[..., 2] * fixed[2]
        unit = 65536 * scale
        result: NDArray[np.uint8] = (offset + (total + unit // 2) // unit).astype(np.uint8)
        return result

    return mix(wide, luma, 16, 1), mix(quad, to_blue, 128, 4), mix(quad, to_red, 128, 4)
