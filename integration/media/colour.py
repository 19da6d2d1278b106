"""Conversion of a picture's RGB to the planes that an encoder takes (ITU-R BT.601).

BT.601 in limited range is what players take for granted where a stream says nothing, so that the colours are right
also in a player that does not look at what the stream says. It is what ffmpeg converts photographs to. AVIF encoders
take the same matrix in full range, which AVIF files always state.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from integration.codec.config import UNSPECIFIED, Colour, chroma_step
from toolkit.data.blockset import Luma, luma_dtype

BT601 = 6
"""Number of BT.601's matrix in ITU-T H.273."""
SRGB = Colour(primaries=1, transfer=13, matrix=BT601, full_range=False)
"""Description of sRGB, converted by `rgb_to_planes`."""
FULL_SRGB = Colour(primaries=1, transfer=13, matrix=BT601, full_range=True)
BY_PROFILE = Colour(UNSPECIFIED, UNSPECIFIED, BT601, full_range=True)
"""Descriptions of full-range samples that are sRGB, and whose colours a profile describes."""
_RED, _BLUE = 0.299, 0.114
Samples = NDArray[np.uint8] | NDArray[np.uint16]
"""Samples of a picture: of 8 bits, or of 16."""


def rgb_to_planes(rgb: Samples, chroma: int = 420, *, bit_depth: int = 8, full_range: bool = False) -> tuple[Luma, ...]:
    """Convert full-range RGB (H, W, 3) to Y (H, W), U and V of BT.601, at a bit depth; monochrome is Y alone.

    A chroma sample is the mean of the 2x2 or 1x2 pixels that it stands for, of which an odd picture's last row and
    column have copies of their own. Only integers are computed with, so that every machine gives the same planes.
    """
    green, most = 1 - _RED - _BLUE, np.iinfo(rgb.dtype).max
    levels, chroma_levels = (
        (((1 << bit_depth) - 1,) * 2) if full_range else (219 << bit_depth - 8, 224 << bit_depth - 8)
    )
    luma = np.array([_RED, green, _BLUE]) * levels / most
    to_blue = np.array([-_RED, -green, 1 - _BLUE]) / (2 * (1 - _BLUE)) * chroma_levels / most
    to_red = np.array([1 - _RED, -green, -_BLUE]) / (2 * (1 - _RED)) * chroma_levels / most
    wide: NDArray[Any] = rgb.astype(np.int32 if most == 255 else np.int64)
    one = 1 << 16 if most == 255 else 1 << 32
    summed, count = _summed(wide, chroma)

    def mix(values: NDArray[Any], weights: NDArray[np.float64], offset: int, scale: int) -> Luma:
        fixed = np.rint(weights * one).astype(values.dtype)
        total = values[..., 0] * fixed[0] + values[..., 1] * fixed[1] + values[..., 2] * fixed[2]
        unit = one * scale
        result: Luma = np.minimum(offset + (total + unit // 2) // unit, (1 << bit_depth) - 1).astype(
            luma_dtype(bit_depth)
        )
        return result

    grey = 1 << bit_depth - 1
    black = 0 if full_range else 16 << bit_depth - 8
    luma_plane = mix(wide, luma, black, 1)
    if chroma == 400:
        return (luma_plane,)
    return luma_plane, mix(summed, to_blue, grey, count), mix(summed, to_red, grey, count)


def to_depth(samples: Samples, bit_depth: int) -> Luma:
    """Full-range samples of one plane, 8 or 16 bits deep, at another bit depth."""
    most, levels = np.iinfo(samples.dtype).max, (1 << bit_depth) - 1
    if most == levels:
        return samples
    result: Luma = ((samples.astype(np.int64) * levels + most // 2) // most).astype(luma_dtype(bit_depth))
    return result


def _summed(wide: NDArray[Any], chroma: int) -> tuple[NDArray[Any], int]:
    """Sums of the pixels of each chroma sample, and how many pixels that are."""
    down, across = chroma_step(chroma)
    even = np.pad(wide, ((0, len(wide) % down), (0, wide.shape[1] % across), (0, 0)), "edge")
    parts = [even[row::down, column::across] for row in range(down) for column in range(across)]
    return sum(parts[1:], parts[0]), down * across
