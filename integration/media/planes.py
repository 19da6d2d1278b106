"""Planes of a 4:2:0 frame, and the sizes that frames are shrunk to."""

import numpy as np
from PIL import Image

from toolkit.data.blockset import Luma

Planes = tuple[Luma, Luma, Luma]
"""Planes y (H, W), u and v (ceil(H/2), ceil(W/2)): uint8 at 8 bit, uint16 at 10."""


def fit(width: int, height: int, box: tuple[int, int] | None) -> tuple[int, int]:
    """Size itself where it fits into the box, else the largest size in it with the same aspect and even sides."""
    if box is None or (width <= box[0] and height <= box[1]):
        return width, height
    if width * box[1] > height * box[0]:
        size = box[0], height * box[0] // width
    else:
        size = width * box[1] // height, box[1]
    return max(2, size[0] // 2 * 2), max(2, size[1] // 2 * 2)


def shrink(planes: Planes, width: int, height: int, bit_depth: int) -> Planes:
    """Shrink a frame to this size, plane by plane, with Lanczos."""

    def plane(source: Luma, size: tuple[int, int]) -> Luma:
        # Pillow resamples 8-bit samples and floats, but no 16-bit samples.
        image = Image.fromarray(source if bit_depth == 8 else source.astype(np.float32))
        resized = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
        rounded: Luma = np.clip(np.rint(resized), 0, (1 << bit_depth) - 1).astype(source.dtype)
        return rounded

    chroma = ((width + 1) // 2, (height + 1) // 2)
    return plane(planes[0], (width, height)), plane(planes[1], chroma), plane(planes[2], chroma)
