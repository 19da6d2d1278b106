"""Conversion of a photograph's RGB to the planes that an encoder takes (ITU-R BT.601).

BT.601 in limited range is what players take for granted where a stream says nothing, so that the colours are right
also in a player that does not look at what the stream says. It is what ffmpeg converts photographs to, and AVIF
encoders take the same matrix.
"""

import numpy as np
from numpy.typing import NDArray

from integration.codec.config import Colour, chroma_step

BT601 = 6
"""Number of BT.601's matrix in ITU-T H.273."""
SRGB = Colour(primaries=1, transfer=13, matrix=BT601, full_range=False)
"""Description of sRGB, converted by `rgb_to_planes`."""
_RED, _BLUE = 0.299, 0.114


Picture = NDArray[np.uint8]


def rgb_to_planes(rgb: Picture, chroma: int = 420) -> tuple[Picture, ...]:
    """Convert full-range RGB (H, W, 3) to Y (H, W), U and V in BT.601's limited range; monochrome is Y alone.

    A chroma sample is the mean of the 2x2 or 1x2 pixels that it stands for, of which an odd picture's last row and
    column have copies of their own. Only integers are computed with, so that every machine gives the same planes.
    """
    green = 1 - _RED - _BLUE
    luma = np.array([_RED, green, _BLUE]) * 219 / 255
    to_blue = np.array([-_RED, -green, 1 - _BLUE]) / (2 * (1 - _BLUE)) * 224 / 255
    to_red = np.array([1 - _RED, -green, -_BLUE]) / (2 * (1 - _RED)) * 224 / 255
    wide = rgb.astype(np.int32)
    down, across = chroma_step(chroma)
    even = np.pad(wide, ((0, len(wide) % down), (0, wide.shape[1] % across), (0, 0)), "edge")
    whole = np.sum([even[row::down, column::across] for row in range(down) for column in range(across)], axis=0)

    def mix(values: NDArray[np.int32], weights: NDArray[np.float64], offset: int, scale: int) -> NDArray[np.uint8]:
        fixed = np.rint(weights * 65536).astype(np.int32)
        total = values[..., 0] * fixed[0] + values[..., 1] * fixed[1] + values[..., 2] * fixed[2]
        unit = 65536 * scale
        result: NDArray[np.uint8] = (offset + (total + unit // 2) // unit).astype(np.uint8)
        return result

    luma_plane = mix(wide, luma, 16, 1)
    if chroma == 400:
        return (luma_plane,)
    return luma_plane, mix(whole, to_blue, 128, down * across), mix(whole, to_red, 128, down * across)
