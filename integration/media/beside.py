"""What a clip's file holds beside the samples of its video: HDR metadata, sound, and more that is not carried over."""

import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
from av.sidedata.sidedata import SideData

from integration.codec.config import CHROMA_LEFT, CHROMA_TOP_LEFT, CHROMA_UNKNOWN
from integration.codec.hdr import NO_HDR, Hdr, LightLevel, Mastering
from integration.media.demuxing import demux, is_cover, video_of
from integration.media.photographs import is_photograph
from integration.media.raw import RAW
from integration.media.stream_header import header_elements, number, real

if TYPE_CHECKING:
    from av.container.core import Chapter

_MASTERING = struct.Struct("=20i2i")
"""FFmpeg's AVMasteringDisplayMetadata: x and y of red, green, blue and white, the darkest and the brightest luminance,
each as numerator and denominator; then whether it has chromaticities, and luminances."""
_LIGHT = struct.Struct("=2I")
"""FFmpeg's AVContentLightMetadata: MaxCLL and MaxFALL."""
_DYNAMIC = {"DYNAMIC_HDR_PLUS": "HDR10+", "DOVI_METADATA": "Dolby Vision", "DYNAMIC_HDR_VIVID": "HDR Vivid"}


_SITING = {(1, 2): CHROMA_LEFT, (1, 1): CHROMA_TOP_LEFT}
"""AV1's chroma position by Matroska's numbers of how chroma lies across and down: 1 on a luma sample, 2 between two."""
_Y4M_SITING = {b"C420mpeg2": (1, 2), b"C420paldv": (1, 1), b"C420jpeg": (2, 2)}
_FIELD_ORDERS = dict.fromkeys((2, 4), " (top field first)") | dict.fromkeys((3, 5), " (bottom field first)")
"""By FFmpeg's number of the field order: 0 is unknown, and 1 are whole frames."""


@dataclass(frozen=True)
class Beside:
    """What a file holds beside its video's samples.

    `start` is the time of the first frame in seconds, as the file counts. `aspect` is the width of a sample over its
    height. `chroma` is AV1's number of where chroma samples lie, 0 where the file does not say. `sound` names the codec
    of every sound track. `chapters` have their times as the file counts. `left` names what no output of ours holds,
    such as "1 subtitle track".
    """

    hdr: Hdr = NO_HDR
    start: Fraction = Fraction(0)
    aspect: Fraction = Fraction(1)
    chroma: int = CHROMA_UNKNOWN
    sound: tuple[str, ...] = ()
    title: str = ""
    chapters: "tuple[Chapter, ...]" = ()
    left: tuple[str, ...] = ()


NOTHING = Beside()


def moved(chapter: "Chapter", by: Fraction) -> "Chapter":
    """The chapter so many seconds later, but not before the start."""
    unit = chapter["time_base"] or Fraction(1)
    start, end = (max(0, chapter[key] + round(by / unit)) for key in ("start", "end"))
    return {**chapter, "start": start, "end": end}


def look_beside(path: Path) -> Beside:
    """Look at a source's tracks and first frame; photographs and raw files have nothing beside their samples.

    A file that cannot be read has nothing either: whoever reads its frames says so.
    """
    if is_photograph(path) or path.suffix.lower() in RAW:
        return Beside()
    try:
        with demux(path) as container:
            video = video_of(container)
            return _look(path, container, video) if video and video.codec_context else Beside()
    except (av.error.FFmpegError, StopIteration):
        return Beside()


def _look(path: Path, container: av.container.InputContainer, video: av.VideoStream) -> Beside:
    header = header_elements(video)
    video.thread_count = 1  # with threads the first frame comes late
    frame = next(container.decode(video))
    side, siting = _side_data(frame), _siting(path, header)
    start = video.start_time if frame.pts is None else frame.pts
    left = [*_other_tracks(container, video), *_turned(frame, side), *_fields(frame, video)]
    left += [f"{name} metadata" for kind, name in _DYNAMIC.items() if kind in side]
    left += ["the chroma position, for which AV1 has no number"] * bool(siting and siting not in _SITING)
    return Beside(
        hdr=_hdr(side) if side else _hdr_of_header(header),
        start=(start or 0) * (video.time_base or Fraction(0)),
        aspect=video.sample_aspect_ratio or Fraction(1),
        chroma=_SITING.get(siting, CHROMA_UNKNOWN) if siting else CHROMA_UNKNOWN,
        sound=tuple(codec_of(stream) for stream in container.streams.audio),
        title=container.metadata.get("title", ""),
        chapters=tuple(container.chapters()),
        left=tuple(left),
    )


def _side_data(frame: av.VideoFrame) -> dict[str, bytes]:
    """A frame's side data by its name; none where PyAV does not know a kind of it, such as EXIF."""
    try:
        return {data.type.name: bytes(data) for data in cast(Iterable[SideData], frame.side_data)}
    except ValueError:
        return {}


def _other_tracks(container: av.container.InputContainer, video: av.VideoStream) -> list[str]:
    """What a file holds beside its clip and sound, such as "2 subtitle tracks"."""
    others = [stream for stream in container.streams if stream is not video and stream.type != "audio"]
    covers = [stream for stream in others if isinstance(stream, av.VideoStream) and is_cover(stream)]
    kinds = Counter("other " * (stream.type == "video") + stream.type for stream in others if stream not in covers)
    return ["cover art"] * bool(covers) + [f"{count} {kind} track{'s' * (count > 1)}" for kind, count in kinds.items()]


def _turned(frame: av.VideoFrame, side: dict[str, bytes]) -> list[str]:
    """How a player is told to turn the picture, which is coded as it lies in the file."""
    if matrix := side.get("DISPLAYMATRIX"):
        across, down, _, left, right = struct.unpack_from("=5i", matrix)
        if across * right < down * left:
            return ["that it is shown mirrored"]
    return [f"a rotation by {frame.rotation} degrees"] * bool(frame.rotation)


def _fields(frame: av.VideoFrame, video: av.VideoStream) -> list[str]:
    """That frames hold two fields, taken one after the other."""
    order = _FIELD_ORDERS.get(video.codec_context.field_order, "")
    if not (order or frame.interlaced_frame):
        return []
    return [f"that its frames are interlaced{order}: they are coded as whole frames"]


def _siting(path: Path, header: dict[str, bytes]) -> tuple[int, int] | None:
    """How chroma lies across and down, in Matroska's numbers; None where the file does not say."""
    if path.suffix.lower() == ".y4m":
        with path.open("rb") as file:
            words = file.readline(4096).split()
        return next((_Y4M_SITING[word] for word in words if word in _Y4M_SITING), None)
    across, down = (number(header.get(name, b"")) for name in ("55B7", "55B8"))
    return (across, down) if across and down else None


def codec_of(stream: av.AudioStream) -> str:
    """Name of a sound track's codec, whichever decoder would decode it; "unknown" where FFmpeg has none."""
    return stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"


def _hdr(side: dict[str, bytes]) -> Hdr:
    light = side.get("CONTENT_LIGHT_LEVEL", b"")
    levels = _LIGHT.unpack_from(light) if len(light) >= _LIGHT.size else (0, 0)
    return Hdr(_mastering(side.get("MASTERING_DISPLAY_METADATA", b"")), LightLevel(*levels) if any(levels) else None)


def _mastering(data: bytes) -> Mastering | None:
    """The mastering display, None where a part of it is missing: AV1 has all of it or nothing."""
    if len(data) < _MASTERING.size:
        return None
    *numbers, has_primaries, has_luminance = _MASTERING.unpack_from(data)
    if not (has_primaries and has_luminance and all(numbers[1::2])):
        return None
    values = [Fraction(above, below) for above, below in zip(numbers[::2], numbers[1::2], strict=True)]
    red, green, blue, white = ((values[i], values[i + 1]) for i in range(0, 8, 2))
    return Mastering(red, green, blue, white, brightest=values[9], darkest=values[8])


def _hdr_of_header(header: dict[str, bytes]) -> Hdr:
    """HDR metadata that a container states, where a frame's cannot be read."""
    levels = LightLevel(*(number(header.get(name, b"")) for name in ("55BC", "55BD")))
    names = [f"55{0xD1 + i:X}" for i in range(10)]
    light = levels if levels.brightest or levels.average else None
    if not all(name in header for name in names):
        return Hdr(None, light)
    values = [Fraction(real(header[name])).limit_denominator(1_000_000) for name in names]
    red, green, blue, white = ((values[i], values[i + 1]) for i in range(0, 8, 2))
    return Hdr(Mastering(red, green, blue, white, brightest=values[8], darkest=values[9]), light)
