"""Planes of a frame, and the sizes that frames are shrunk to."""

import numpy as np
from PIL import Image

from integration.codec.config import FrameFormat
from toolkit.data.blockset import Luma

Planes = tuple[Luma, ...]
"""Planes y (H, W), u and v, shaped as `FrameFormat` says; monochrome y alone. uint8 at 8 bit, uint16 above."""


def fit(width: int, height: int, box: tuple[int, int] | None) -> tuple[int, int]:
    """Size itself where it fits into the box, else the largest size in it with the same aspect and even sides."""
    if box is None or (width <= box[0] and height <= box[1]):
        return width, height
    if width * box[1] > height * box[0]:
        size = box[0], height * box[0] // width
    else:
        size = width * box[1] // height, box[1]
    return max(2, size[0] // 2 * 2), max(2, size[1] // 2 * 2)


def shrink(planes: Planes, width: int, height: int, bit_depth: int, chroma: int = 420) -> Planes:
    """Shrink a frame to this size, plane by plane, with Lanczos."""

    frame = FrameFormat(width, height, bit_depth, chroma=chroma)

    def plane(source: Luma, index: int) -> Luma:
        high, wide = frame.plane_shape(index)
        # Pillow resamples 8-bit samples and floats, but no 16-bit samples.
        image = Image.fromarray(source if bit_depth == 8 else source.astype(np.float32))
        resized = np.asarray(image.resize((wide, high), Image.Resampling.LANCZOS))
        rounded: Luma = np.clip(np.rint(resized), 0, (1 << bit_depth) - 1).astype(source.dtype)
        return rounded

    return tuple(plane(source, index) for index, source in enumerate(planes))
