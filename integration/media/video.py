"""Sources as streams of frames: photographs, containers that FFmpeg reads, and raw planes.

A photograph becomes one 8-bit BT.601 frame in limited range. A clip keeps its code values, whatever their matrix and
range. Nothing is ever enlarged. Frames are shrunk with Lanczos: a photograph as RGB, before its conversion, a clip
plane by plane.
"""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from multiprocessing import parent_process
from pathlib import Path

from integration.codec.config import CHROMAS
from integration.media.clip import Clip, warn_once
from integration.media.film import open_film
from integration.media.heif import check_whole
from integration.media.photographs import is_photograph, read_photograph
from integration.media.planes import Planes, fit, shrink
from integration.media.raw import RAW, RawFormat
from integration.media.raw_clip import open_raw
from toolkit.errors import ToolkitError
from toolkit.folders import check_file

__all__ = ["COLOUR", "RESAMPLING", "Clip", "open_clip"]

COLOUR = "photographs: sRGB to 8-bit BT.601 limited range, chroma averaged over 2x2; clips: code values as they are"
RESAMPLING = "Lanczos (Pillow), never enlarged"


def open_clip(
    path: Path,
    size: tuple[int, int] | None = None,
    limit: int | None = None,
    raw: RawFormat | None = None,
    *,
    allow_truncated: bool = False,
    chroma: int = 420,
) -> Clip:
    """Open a source; its frames are shrunk to fit `size`, and there are at most `limit` of them.

    `raw` describes files named .yuv, .raw or .i420. A photograph is converted to `chroma`, of CHROMAS. Raises
    ToolkitError, here or while frames are read, for a file that is missing, damaged, cut short, or a clip of other
    chroma or neither 8 nor 10 bit. With `allow_truncated` a clip ends with a warning where
    it is cut short or damaged, if it has a frame before.
    """
    check_file(path, "a clip or photograph")
    suffix = path.suffix.lower()
    if is_photograph(path):
        clip = _photograph(path, size, chroma)
    elif suffix in RAW:
        if raw is None:
            raise ToolkitError(f"{path}: a raw file needs its layout, --raw WxH[:bitdepth], as in 1920x1080:10.")
        clip = open_raw(path, raw, allow_truncated)
    else:
        check_whole(path)
        clip = open_film(path, allow_truncated)
    if clip.chroma != chroma:
        found, wanted = CHROMAS[clip.chroma], CHROMAS[chroma]
        raise ToolkitError(f"{path}: a clip of {found}; photographs alone are converted to {wanted}.")
    width, height = fit(clip.width, clip.height, size)

    def frames() -> Iterator[Planes]:
        for planes in islice(clip.frames(), limit):
            yield (
                planes if planes[0].shape == (height, width) else shrink(planes, width, height, clip.bit_depth, chroma)
            )

    count = clip.count if limit is None or clip.count is None else min(limit, clip.count)
    return replace(clip, width=width, height=height, frames=frames, count=count or limit)


def _photograph(path: Path, size: tuple[int, int] | None, chroma: int) -> Clip:
    photograph = read_photograph(path, size, chroma)
    if photograph.notes and parent_process() is None:  # a process that another one started repeats nothing
        warn_once(f"{path}: {' '.join(photograph.notes)}")
    height, width = photograph.planes[0].shape
    return Clip(
        path, width, height, 8, Fraction(30), lambda: iter([photograph.planes]), 1, photograph.colour, chroma=chroma
    )
