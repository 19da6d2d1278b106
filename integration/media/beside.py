"""What a clip's file holds beside the samples of its video: HDR metadata, sound, and more that is not carried over."""

import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.sidedata.sidedata import SideData

from integration.codec.hdr import NO_HDR, Hdr, LightLevel, Mastering
from integration.media.photographs import is_photograph
from integration.media.raw import RAW
from integration.media.video import demux

_MASTERING = struct.Struct("=20i2i")
"""FFmpeg's AVMasteringDisplayMetadata: x and y of red, green, blue and white, the darkest and the brightest luminance,
each as numerator and denominator; then whether it has chromaticities, and luminances."""
_LIGHT = struct.Struct("=2I")
"""FFmpeg's AVContentLightMetadata: MaxCLL and MaxFALL."""
_DYNAMIC = {"DYNAMIC_HDR_PLUS": "HDR10+", "DOVI_METADATA": "Dolby Vision", "DYNAMIC_HDR_VIVID": "HDR Vivid"}


@dataclass(frozen=True)
class Beside:
    """What a file holds beside its video's samples.

    `start` is the time of the first frame in seconds, as the file counts. `sound` names the codec of every sound track.
    `left` names what no output of ours holds, such as "1 subtitle track".
    """

    hdr: Hdr = NO_HDR
    start: Fraction = Fraction(0)
    sound: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def look_beside(path: Path) -> Beside:
    """Look at a source's tracks and first frame; photographs and raw files have nothing beside their samples.

    A file that cannot be read has nothing either: whoever reads its frames says so.
    """
    if is_photograph(path) or path.suffix.lower() in RAW:
        return Beside()
    try:
        with demux(path) as container:
            video = container.streams.video[0]
            sound = tuple(codec_of(stream) for stream in container.streams.audio)
            kinds = Counter(
                stream.type for stream in container.streams if stream not in (video, *container.streams.audio)
            )
            left = [f"{count} {kind} track{'s' * (count > 1)}" for kind, count in kinds.items()]
            video.thread_count = 1  # with threads the first frame comes late
            frame = next(container.decode(video))
            side = {data.type.name: bytes(data) for data in cast(Iterable[SideData], frame.side_data)}
            left += [f"{name} metadata" for kind, name in _DYNAMIC.items() if kind in side]
            left += [f"a rotation by {frame.rotation} degrees"] * bool(frame.rotation)
            start = frame.pts * frame.time_base if frame.pts is not None and frame.time_base else Fraction(0)
            return Beside(_hdr(side), start, sound, tuple(left))
    except (av.error.FFmpegError, ValueError, StopIteration):
        return Beside()


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
