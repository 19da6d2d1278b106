"""Clips in headerless files, whose layout is given; what does not look like it is warned of."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from integration.media.clip import Clip, cut_short, warn_once
from integration.media.planes import Planes
from integration.media.raw import DEFAULT_RATE, RawFormat, better_period, conversion
from integration.media.raw_names import read_name
from toolkit.data.blockset import luma_dtype
from toolkit.errors import ToolkitError

_OTHERS = {"4:2:2": 2, "4:4:4": 3, "4:0:0": 1}
"""Samples of a frame of other layouts, by the number of its luma samples where both sides are even."""
_COMPARED = 1 << 16
"""Number of samples by which frames are compared."""


def open_raw(path: Path, raw: RawFormat, allow_truncated: bool) -> Clip:
    """Open a headerless file of planar 4:2:0; errors as of `open_clip`."""
    dtype = luma_dtype(raw.bit_depth).newbyteorder("<")
    shapes = [(raw.height, raw.width)] + [((raw.height + 1) // 2, (raw.width + 1) // 2)] * 2
    counts = [h * w for h, w in shapes]
    frame_bytes = sum(counts) * dtype.itemsize
    size = path.stat().st_size
    if size == 0 or size % frame_bytes:
        cut_short(path, _no_whole_number(path, raw, size, frame_bytes), size // frame_bytes, allow_truncated)

    def frames(first: int = 0) -> Iterator[Planes]:
        with path.open("rb") as file:
            file.seek(first * frame_bytes)
            for number in range(first, size // frame_bytes):
                data = file.read(frame_bytes)
                if len(data) != frame_bytes:
                    raise ToolkitError(f"{path}: frame {number} is cut short; the file shrank while it was read.")
                flat = np.frombuffer(data, dtype).astype(luma_dtype(raw.bit_depth), copy=False)
                y, u, v = (p.reshape(s) for p, s in zip(np.split(flat, np.cumsum(counts)[:2]), shapes, strict=True))
                yield y, u, v

    for number in {0, size // frame_bytes // 2}:  # a clip may begin with black
        period = better_period(next(frames(number))[0])
        if period is not None:
            warn_once(
                f"{path}: read as {raw.width}x{raw.height}, {raw.bit_depth} bit, it does not look like a picture: rows "
                f"are less alike than samples {period} apart. Check --raw."
            )
            break
    if other := _better_layout(path, raw, size):
        warn_once(
            f"{path}: read as 4:2:0, it looks like {other}, at whose distance frames are far more alike. If it is: "
            f"{conversion(path, raw, other)}"
        )
    rate = raw.rate or read_name(path).rate
    assumed = f"neither its name nor --raw says a frame rate: {DEFAULT_RATE} a second, as --raw {_spelt(raw)} would say"
    notes = () if rate else (assumed,)
    return Clip(
        path, raw.width, raw.height, raw.bit_depth, rate or DEFAULT_RATE, frames, size // frame_bytes, notes=notes
    )


def _spelt(raw: RawFormat) -> str:
    depth = "" if raw.bit_depth == 8 else f":{raw.bit_depth}"
    return f"{raw.width}x{raw.height}{depth}@{DEFAULT_RATE}"


def _frame_bytes(raw: RawFormat, times: Fraction | int) -> int:
    return int(raw.width * raw.height * times) * (1 if raw.bit_depth == 8 else 2)


def _no_whole_number(path: Path, raw: RawFormat, size: int, frame_bytes: int) -> str:
    """Say that a file holds no whole number of frames, and of which layouts it does."""
    whole = [
        f"{count} of {name}"
        for name, times in _OTHERS.items()
        if (count := size // _frame_bytes(raw, times)) and size % _frame_bytes(raw, times) == 0
    ]
    guess = f" (they would be {' or '.join(whole)})" if whole else ""
    return (
        f"{size} bytes are no whole number of {frame_bytes}-byte frames of 4:2:0 ({raw.width}x{raw.height}, "
        f"{raw.bit_depth} bit){guess}. Frame {size // frame_bytes} is cut short or --raw is wrong"
    )


def _better_layout(path: Path, raw: RawFormat, size: int) -> str | None:
    """The layout at whose distance frames are far more alike than at that of 4:2:0; None where there is none.

    A frame of 4:4:4 is twice as large as one of 4:2:0, so that the middle of its chroma would be taken for luma.
    """
    own = _frame_bytes(raw, Fraction(3, 2))
    found = []
    for name, times in _OTHERS.items():
        other = _frame_bytes(raw, times)
        if size % other or size < 2 * max(own, other):
            continue
        starts = {0, size // other // 2 * other} if size >= 4 * max(own, other) else {0}
        apart = [(_unlike(path, raw, at, other), _unlike(path, raw, at, own)) for at in starts]
        if all(theirs < ours / 4 for theirs, ours in apart):
            found.append((sum(theirs for theirs, _ in apart), name))
    return min(found)[1] if found else None


def _unlike(path: Path, raw: RawFormat, at: int, distance: int) -> float:
    """Mean difference of samples of a frame's luma from those `distance` bytes on."""
    dtype = luma_dtype(raw.bit_depth).newbyteorder("<")
    count = raw.width * raw.height
    with path.open("rb") as file:
        pair = []
        for place in (at, at + distance):
            file.seek(place)
            pair.append(np.frombuffer(file.read(count * dtype.itemsize), dtype)[:: max(1, count // _COMPARED)])
    common = min(len(one) for one in pair)
    return float(np.abs(pair[0][:common].astype(np.int64) - pair[1][:common]).mean()) if common else 0.0
