"""Small frames with real texture for the encoder's tests."""

import numpy as np
from PIL import Image

from integration.media.planes import Planes
from integration.media.video import open_clip
from support.places import TESTS

CHELSEA = TESTS / "data" / "chelsea.png"


def frame(width: int, height: int, bit_depth: int = 8, top: int = 100, left: int = 100) -> Planes:
    """A crop of the cat, u and v included; 10 bit get noise in the lowest two bits."""
    planes = next(open_clip(CHELSEA).frames())
    half = (height + 1) // 2, (width + 1) // 2
    y = planes[0][top : top + height, left : left + width]
    u, v = (p[top // 2 : top // 2 + half[0], left // 2 : left // 2 + half[1]] for p in planes[1:])
    if bit_depth == 8:
        return y, u, v
    noise = np.random.default_rng(0).integers(0, 4, y.shape)
    return (y * np.uint16(4) + noise).astype(np.uint16), u.astype(np.uint16) * 4, v.astype(np.uint16) * 4


def smooth_frame(width: int, height: int, bit_depth: int = 8) -> Planes:
    """A part of the cat enlarged fourfold, so that an encoder chooses large blocks; of even width and height."""
    planes = []
    for index, plane in enumerate(frame(width // 4, height // 4, 8, 60, 60)):
        size = (width, height) if index == 0 else (width // 2, height // 2)
        enlarged = np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC))
        planes.append(enlarged if bit_depth == 8 else enlarged.astype(np.uint16) << (bit_depth - 8))
    return planes[0], planes[1], planes[2]
