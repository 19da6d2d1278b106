"""Conversion of a photograph's RGB to the 4:2:0 planes that an encoder takes (ITU-R BT.709)."""

import numpy as np
from numpy.typing import NDArray


def rgb_to_planes(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Convert full-range RGB (H, W, 3), H and W even, to Y (H, W), U and V (H/2, W/2) in BT.709's limited range.

    Chroma is the mean of 2x2 pixels. Only integers are computed with, so that every machine gives the same planes.
    """
    red, blue = 0.2126, 0.0722
    green = 1 - red - blue
    luma = np.array([red, green, blue]) * 219 / 255
    to_blue = np.array([-red, -green, 1 - blue]) / (2 * (1 - blue)) * 224 / 255
    to_red = np.array([1 - red, -green, -blue]) / (2 * (1 - red)) * 224 / 255
    wide = rgb.astype(np.int64)
    quad = wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]

    def mix(values: NDArray[np.int64], weights: NDArray[np.float64], offset: int, scale: int) -> NDArray[np.uint8]:
        fixed = np.rint(weights * 65536).astype(np.int64)
        total = values[..., 0] * fixed[0] + values[..., 1] * fixed[1] + values[..., 2] * fixed[2]
        unit = 65536 * scale
        result: NDArray[np.uint8] = (offset + (total + unit // 2) // unit).astype(np.uint8)
        return result

    return mix(wide, luma, 16, 1), mix(quad, to_blue, 128, 4), mix(quad, to_red, 128, 4)
