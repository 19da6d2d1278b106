"""Clips in containers that FFmpeg reads, decoded frame by frame; damage and missing frames are errors."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from integration.codec.config import Colour
from integration.media.clip import Clip, cut_short
from integration.media.demuxing import CONTAINERS, demux, video_of
from integration.media.planes import Planes
from integration.media.times import FrameTimes, Timeline
from integration.media.whole import is_whole
from toolkit.data.blockset import Luma
from toolkit.errors import ToolkitError

PIXEL_FORMATS = {"yuv420p": 8, "yuvj420p": 8, "yuv420p10le": 10}
_SAY_LENGTH = {"matroska", "mov", "avi", "flv", "asf"}
"""FFmpeg's demuxers to which a file says its length; of others it is guessed from the file's size."""
_UNKNOWN = "unknown"
"""Pixel format of a stream of which no frame could be decoded."""
_FULL_RANGE = 2
"""FFmpeg's number of full range."""


@dataclass(frozen=True)
class _Announced:
    """What a container says of its video: format, rate and time stamps, and frames and seconds where it says them.

    `until` is when the last frame ends in the file's time, where frames do not say how long they last (Matroska).
    `whole`: the file has all the bytes that its structure announces, so that it is not cut short. `steady`: frames come
    at a constant rate, and one that is not there repeats the one before (AVI).
    """

    pixel_format: str
    width: int
    height: int
    rate: Fraction
    tick: Fraction
    frames: int
    seconds: Fraction | None
    until: Fraction | None
    whole: bool
    steady: bool


def open_film(path: Path, allow_truncated: bool) -> Clip:
    """Open a clip in a container; errors as of `open_clip`."""
    try:
        with demux(path) as container:
            stream = video_of(container)
            if stream is None:
                cover = " but cover art" if container.streams.video else ""
                raise ToolkitError(f"{path}: holds no video{cover}.")
            if stream.codec_context is None:
                raise ToolkitError(f"{path}: its video is in a codec that FFmpeg cannot decode. Convert it first.")
            said = _announced(path, container, stream)
            colour = _colour(stream.codec_context)
    except (av.error.FFmpegError, ValueError) as error:
        raise ToolkitError(f"{path}: not readable as video ({error}). Read are: {CONTAINERS}.") from None
    if said.pixel_format == _UNKNOWN:
        raise ToolkitError(f"{path}: its video cannot be decoded; it is damaged or cut short. Copy it again.")
    if said.pixel_format not in PIXEL_FORMATS:
        raise ToolkitError(
            f"{path}: pixel format {said.pixel_format}, expected 4:2:0 of 8 or 10 bit ({', '.join(PIXEL_FORMATS)}). "
            f"Convert it first: {_conversion(path, said.pixel_format)}"
        )
    bit_depth, times = PIXEL_FORMATS[said.pixel_format], FrameTimes(said.rate, said.tick)
    count = said.frames or (round(said.seconds * said.rate) if said.seconds else None)
    if path.suffix.lower() == ".y4m":
        count = _count_y4m(path, said.width, said.height, bit_depth, allow_truncated)

    def frames() -> Iterator[Planes]:
        return _decoded(path, said, times, allow_truncated)

    return Clip(path, said.width, said.height, bit_depth, said.rate, frames, count, colour, times)


def _announced(path: Path, container: av.container.InputContainer, stream: av.VideoStream) -> _Announced:
    decoder, kind = stream.codec_context, container.format.name
    seconds, whole = _seconds(container, stream), is_whole(path)
    return _Announced(
        pixel_format=decoder.pix_fmt or _UNKNOWN,
        width=decoder.width,
        height=decoder.height,
        rate=stream.guessed_rate or Fraction(30),
        tick=stream.time_base or Fraction(0),
        frames=0 if kind == "ivf" and whole else stream.frames,  # there it may be a length in other units
        seconds=seconds if kind.split(",")[0] in _SAY_LENGTH else None,
        until=seconds if whole and kind.startswith("matroska") else None,
        whole=whole,
        steady=kind == "avi",
    )


def _conversion(path: Path, pixel_format: str) -> str:
    """The command that makes a clip 4:2:0 without further loss, and keeps its bit depth up to 10 and its sound."""
    try:
        deep = max(part.bits for part in av.VideoFormat(pixel_format).components) > 8
    except (ValueError, IndexError):
        deep = False
    target = path.with_name(f"{path.stem}-420.mkv")
    coded = ["-c:v", "ffv1", "-pix_fmt", "yuv420p10le" if deep else "yuv420p", "-c:a", "copy"]
    return shlex.join(["ffmpeg", "-i", str(path), *coded, str(target)])


def _colour(codec: av.VideoCodecContext) -> Colour:
    """What a container or its stream says of the colour; yuvj is FFmpeg's older name for full range."""
    full = int(codec.color_range) == _FULL_RANGE or codec.pix_fmt == "yuvj420p"
    return Colour.of(int(codec.color_primaries), int(codec.color_trc), int(codec.colorspace), full)


@dataclass
class _Progress:
    """How far a container has been read: packets, frames, and when the last packet's frame ends in the file's time."""

    packets: int = 0
    frames: int = 0
    end: Fraction = Fraction(0)


def _decoded(path: Path, said: _Announced, times: FrameTimes, allow_truncated: bool) -> Iterator[Planes]:
    """Yield the frames of a container and note their times.

    Errors, or with `allow_truncated` the end of a clip that is cut short, are as of `open_clip`.
    """
    so_far, given, found = _Progress(), 0, ""
    line = Timeline[Planes](times, said.steady, said.frames)
    try:
        for picture in _pictures(path, said, so_far):
            for planes in line.add(*picture):
                yield planes
                given += 1
    except (av.error.FFmpegError, ValueError) as error:
        found = f"frame {so_far.frames} is damaged or cut short ({error})"
    found = found or _missing(said, so_far)
    for planes in line.finish(None if found else said.until, fill=not found):
        yield planes
        given += 1
    if found:
        cut_short(path, found, given, allow_truncated)


def _pictures(path: Path, said: _Announced, so_far: _Progress) -> Iterator[tuple[Planes, Fraction | None, Fraction]]:
    """Yield each frame with its start, where the file says it, and its length in seconds.

    Raises FFmpegError or ValueError at damage, and ToolkitError where the frames' size changes.
    """
    with demux(path) as container:
        stream = video_of(container)
        assert stream is not None
        # With threads frames come late, and errors would name a frame before the damaged one.
        stream.thread_count = 1
        for packet in container.demux(stream):
            so_far.packets += bool(packet.size)
            if packet.pts is not None and packet.time_base:
                lasts = (packet.duration or 0) * packet.time_base or 1 / said.rate
                so_far.end = max(so_far.end, packet.pts * packet.time_base + lasts)
            for frame in packet.decode():
                if packet.is_corrupt or frame.is_corrupt:
                    raise ValueError("a part is missing")
                if (frame.format.name, frame.width, frame.height) != (said.pixel_format, said.width, said.height):
                    raise ToolkitError(f"{path}: frame {so_far.frames} changes to {frame.width}x{frame.height}.")
                unit = frame.time_base or Fraction(0)
                start = None if frame.pts is None else frame.pts * unit
                yield _planes(frame), start, (frame.duration or 0) * unit or 1 / said.rate
                so_far.frames += 1


def _missing(said: _Announced, so_far: _Progress) -> str:
    """What is missing at the end of a container that was read without an error; empty where nothing is.

    A file that is whole holds all there is, although an edit list may leave frames out and a last one be long.
    """
    if so_far.frames == 0 or (so_far.packets < said.frames and not said.whole):
        return f"{so_far.frames} frames of {said.frames} could be read; it is cut short or damaged"
    if said.seconds and said.seconds - so_far.end > 1 / said.rate / 2 and not said.whole:
        ends = f"{float(so_far.end):.2f} of {float(said.seconds):.2f} seconds"
        return f"cut short after frame {so_far.frames - 1}, at {ends}, or damaged"
    return ""


def _seconds(container: av.container.InputContainer, stream: av.VideoStream) -> Fraction | None:
    """Length in seconds that a container announces where it does not count its frames (Matroska), or None."""
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    if seconds:
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    alone = len(container.streams) == 1 and container.duration  # with other streams it may be that of the sound
    return Fraction(container.duration, av.time_base) if alone and container.duration else None


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
        cut_short(path, found, count, allow_truncated)
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
