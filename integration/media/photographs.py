"""Photographs: opened, turned upright, shrunk, and converted to one 4:2:0 frame."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from integration.media.colour import rgb_to_planes
from integration.media.planes import Planes, fit
from toolkit.errors import ToolkitError

PHOTOGRAPHS = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm"}
PICTURES = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM")
"""Formats that a photograph's content may have. Others, such as PostScript, would start programs."""


def is_photograph(path: Path) -> bool:
    """Whether a file is read as a photograph, by the ending of its name."""
    return path.suffix.lower() in PHOTOGRAPHS


def read_photograph(path: Path, size: tuple[int, int] | None = None) -> Planes:
    """Read a photograph as 8-bit planes, upright and shrunk to fit `size`; ToolkitError where it is none."""
    try:
        with Image.open(path, formats=PICTURES) as image:
            deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
            if image.mode[0] in "IF" and not deep:
                raise ToolkitError(f"{path}: {image.mode} samples; photographs of 8 or 16 bit are read.")
            upright = ImageOps.exif_transpose(image)
            if deep:  # the upper 8 of 16 bits, which Pillow itself takes of RGB
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            upright = upright.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ToolkitError(f"{path}: not readable as a photograph ({error}).") from None
    target = fit(*upright.size, size)
    if target != upright.size:
        upright = upright.resize(target, Image.Resampling.LANCZOS)
    rgb = np.asarray(upright)
    if min(rgb.shape[:2]) < 2:
        raise ToolkitError(f"{path}: {upright.width}x{upright.height}, at least 2x2 is needed.")
    return rgb_to_planes(rgb[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2])
