"""Sources as streams of 4:2:0 frames: photographs, containers that FFmpeg reads, and raw planes.

A photograph becomes one 8-bit BT.601 frame in limited range. A clip keeps its code values, whatever their matrix and
range. Nothing is ever enlarged. Frames are shrunk with Lanczos: a photograph as RGB, before its conversion, a clip
plane by plane.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import islice
from multiprocessing import parent_process
from pathlib import Path

import av
import numpy as np

from integration.codec.config import UNDESCRIBED, Colour
from integration.media.heif import check_whole
from integration.media.photographs import is_photograph, read_photograph
from integration.media.planes import Planes, fit, shrink
from integration.media.raw import RAW, RawFormat, better_period
from toolkit.data.blockset import Luma, luma_dtype
from toolkit.errors import ToolkitError
from toolkit.sealed import check_file

_log = logging.getLogger("av1part")

COLOUR = "photographs: sRGB to 8-bit BT.601 limited range, chroma averaged over 2x2; clips: code values as they are"
RESAMPLING = "Lanczos (Pillow), never enlarged"
CONTAINERS = "matroska,mov,yuv4mpegpipe,ivf,obu,av1,avi,mpegts,mpeg,flv,ogg,asf,mxf,nut,h264,hevc,mpegvideo,m4v"
"""FFmpeg's demuxers that a clip may need. Others, such as concat and hls, would open further files."""
_FULL_RANGE = 2
"""FFmpeg's number of full range."""
PIXEL_FORMATS = {"yuv420p": 8, "yuvj420p": 8, "yuv420p10le": 10}


@dataclass(frozen=True)
class Clip:
    """An opened source: size, bit depth and rate of its frames, which every call of `frames()` yields from the start.

    `count` is the number of frames that the source announces, None where it announces none. It may be wrong: use it to
    show progress only. `colour` is what a container says of its samples; photographs and raw files say nothing.
    """

    path: Path
    width: int
    height: int
    bit_depth: int
    rate: Fraction
    frames: Callable[[], Iterator[Planes]]
    count: int | None = None
    colour: Colour = UNDESCRIBED


def open_clip(
    path: Path,
    size: tuple[int, int] | None = None,
    limit: int | None = None,
    raw: RawFormat | None = None,
    *,
    allow_truncated: bool = False,
) -> Clip:
    """Open a source; its frames are shrunk to fit `size`, and there are at most `limit` of them.

    `raw` describes files named .yuv, .raw or .i420. Raises ToolkitError, here or while frames are read, for a file that
    is missing, damaged, cut short, or not 4:2:0 of 8 or 10 bit. With `allow_truncated` a clip ends with a warning where
    it is cut short or damaged, if it has a frame before.
    """
    check_file(path, "a clip or photograph")
    suffix = path.suffix.lower()
    if is_photograph(path):
        clip = _photograph(path, size)
    elif suffix in RAW:
        if raw is None:
            raise ToolkitError(f"{path}: a raw file needs its layout, --raw WxH[:bitdepth], as in 1920x1080:10.")
        clip = _open_raw(path, raw, allow_truncated)
    else:
        check_whole(path)
        clip = _open_container(path, allow_truncated)
    width, height = fit(clip.width, clip.height, size)

    def frames() -> Iterator[Planes]:
        for planes in islice(clip.frames(), limit):
            yield planes if planes[0].shape == (height, width) else shrink(planes, width, height, clip.bit_depth)

    count = clip.count if limit is None or clip.count is None else min(limit, clip.count)
    return Clip(path, width, height, clip.bit_depth, clip.rate, frames, count or limit, clip.colour)


def _photograph(path: Path, size: tuple[int, int] | None) -> Clip:
    photograph = read_photograph(path, size)
    if photograph.notes and parent_process() is None:  # a process that another one started repeats nothing
        _warn_once(f"{path}: {' '.join(photograph.notes)}")
    height, width = photograph.planes[0].shape
    return Clip(path, width, height, 8, Fraction(30), lambda: iter([photograph.planes]), 1, photograph.colour)


def _cut_short(path: Path, found: str, frames: int, allowed: bool) -> None:
    """Raise ToolkitError for a clip that is cut short after this many frames; where it may and has some, warn once."""
    if not allowed or not frames:
        advice = f", or pass --allow-truncated to take the frames before ({frames})" if frames else ""
        raise ToolkitError(f"{path}: {found}. Copy it again{advice}.")
    _warn_once(f"{path}: {found}. The frames before are taken.")


@cache
def _warn_once(text: str) -> None:
    _log.warning("Warning: %s", text)


def _open_raw(path: Path, raw: RawFormat, allow_truncated: bool) -> Clip:
    dtype = luma_dtype(raw.bit_depth).newbyteorder("<")
    shapes = [(raw.height, raw.width)] + [((raw.height + 1) // 2, (raw.width + 1) // 2)] * 2
    counts = [h * w for h, w in shapes]
    frame_bytes = sum(counts) * dtype.itemsize
    size = path.stat().st_size
    if size == 0 or size % frame_bytes:
        found = (
            f"{size} bytes are no whole number of {frame_bytes}-byte frames ({raw.width}x{raw.height}, "
            f"{raw.bit_depth} bit). Frame {size // frame_bytes} is cut short or --raw is wrong"
        )
        _cut_short(path, found, size // frame_bytes, allow_truncated)

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
            _warn_once(
                f"{path}: read as {raw.width}x{raw.height}, {raw.bit_depth} bit, it does not look like a picture: rows "
                f"are less alike than samples {period} apart. Check --raw."
            )
            break
    return Clip(path, raw.width, raw.height, raw.bit_depth, Fraction(30), frames, size // frame_bytes)


def _url(path: Path) -> str:
    """Name of a file for FFmpeg, which would take `a` in `a:b.y4m` for a protocol."""
    return f"file:{path}"


@dataclass(frozen=True)
class _Announced:
    """What a container says of its video: format and rate, and number of frames and seconds where it says them."""

    pixel_format: str
    width: int
    height: int
    rate: Fraction
    frames: int
    seconds: float | None


def demux(path: Path) -> av.container.InputContainer:
    """Open a file with FFmpeg, which may use the listed demuxers alone and open no other file."""
    return av.open(_url(path), container_options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"})


def _open_container(path: Path, allow_truncated: bool) -> Clip:
    try:
        with demux(path) as container:
            if not container.streams.video:
                raise ToolkitError(f"{path}: holds no video.")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise ToolkitError(f"{path}: its video is in a codec that FFmpeg cannot decode. Convert it first.")
            format_name = stream.codec_context.pix_fmt or "unknown"
            width, height = stream.codec_context.width, stream.codec_context.height
            rate = stream.guessed_rate or Fraction(30)
            colour = _colour(stream.codec_context)
            declared, seconds = stream.frames, _seconds(container)
    except (av.error.FFmpegError, ValueError) as error:
        raise ToolkitError(f"{path}: not readable as video ({error}). Read are: {CONTAINERS}.") from None
    if format_name not in PIXEL_FORMATS:
        raise ToolkitError(
            f"{path}: pixel format {format_name}, expected 4:2:0 of 8 or 10 bit ({', '.join(PIXEL_FORMATS)}). "
            f"Convert it first: ffmpeg -i {path.name} -pix_fmt yuv420p {path.stem}-420.y4m"
        )
    bit_depth = PIXEL_FORMATS[format_name]
    if path.suffix.lower() == ".y4m":
        declared = _count_y4m(path, width, height, bit_depth, allow_truncated)
    said = _Announced(format_name, width, height, rate, declared, seconds)
    count = declared or (round(seconds * rate) if seconds else None)
    return Clip(path, width, height, bit_depth, rate, lambda: _decoded(path, said, allow_truncated), count, colour)


def _colour(codec: av.VideoCodecContext) -> Colour:
    """What a container or its stream says of the colour; yuvj is FFmpeg's older name for full range."""
    full = int(codec.color_range) == _FULL_RANGE or codec.pix_fmt == "yuvj420p"
    return Colour.of(int(codec.color_primaries), int(codec.color_trc), int(codec.colorspace), full)


def _decoded(path: Path, said: _Announced, allow_truncated: bool) -> Iterator[Planes]:
    """Yield the frames of a container; errors, or with `allow_truncated` the end, as of `open_clip`."""
    number, expected, end, found = 0, said.frames, 0.0, ""
    try:
        with demux(path) as container:
            stream = container.streams.video[0]
            # With threads frames come late, and errors would name a frame before the damaged one.
            stream.thread_count = 1
            for packet in container.demux(stream):
                expected -= packet.is_discard  # before the start that an edit list sets
                if packet.pts is not None and packet.time_base:
                    lasts = (packet.duration or 0) * packet.time_base or 1 / said.rate
                    end = max(end, float(packet.pts * packet.time_base + lasts))
                for frame in packet.decode():
                    if packet.is_corrupt or frame.is_corrupt:
                        raise ValueError("a part is missing")
                    if (frame.format.name, frame.width, frame.height) != (said.pixel_format, said.width, said.height):
                        raise ToolkitError(f"{path}: frame {number} changes to {frame.width}x{frame.height}.")
                    yield _planes(frame)
                    number += 1
    except (av.error.FFmpegError, ValueError) as error:
        found = f"frame {number} is damaged or cut short ({error})"
    if not found and (number < expected or number == 0):
        found = f"{number} frames of {expected} could be read; it is cut short or damaged"
    if not found and said.seconds and said.seconds - end > 0.5 / said.rate:
        found = f"cut short after frame {number - 1}, at {end:.2f} of {said.seconds:.2f} seconds, or damaged"
    if found:
        _cut_short(path, found, number, allow_truncated)


def _seconds(container: av.container.InputContainer) -> float | None:
    """Length in seconds that a container announces where it does not count its frames (Matroska), or None."""
    hours, _, rest = container.streams.video[0].metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    if seconds:
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    alone = len(container.streams) == 1 and container.duration  # with other streams it may be that of the sound
    return container.duration / av.time_base if alone and container.duration else None


def _count_y4m(path: Path, width: int, height: int, bit_depth: int, allow_truncated: bool) -> int:
    """Count the whole frames by walking over their headers, which may have parameters.

    Raises ToolkitError where the last frame is cut short, which FFmpeg would leave out silently.
    """
    samples = width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)
    frame_bytes = samples * (1 if bit_depth == 8 else 2)
    count, size = 0, path.stat().st_size
    with path.open("rb") as file:
        file.readline(4096)
        while (header := file.readline(4096)).startswith(b"FRAME") and file.seek(frame_bytes, 1) <= size:
            count += 1
    if header:
        found = f"frame {count}, its last, is cut short or damaged (frames take {frame_bytes} bytes after a FRAME line)"
        _cut_short(path, found, count, allow_truncated)
    return count


def _planes(frame: av.VideoFrame) -> Planes:
    dtype = np.dtype(np.uint8 if PIXEL_FORMATS[frame.format.name] == 8 else "<u2")

    def plane(index: int, height: int, width: int) -> Luma:
        source = frame.planes[index]
        rows = np.frombuffer(memoryview(source), dtype).reshape(-1, source.line_size // dtype.itemsize)
        samples = rows[:height, :width]
        return samples.astype(np.uint8) if dtype.itemsize == 1 else samples.astype(np.uint16)

    half = (frame.height + 1) // 2, (frame.width + 1) // 2
    return plane(0, frame.height, frame.width), plane(1, *half), plane(2, *half)
