"""Sound of a clip, copied packet by packet into another container; nothing is decoded."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from integration.media.beside import Beside, codec_of
from integration.media.demuxing import demux
from toolkit.errors import ToolkitError

_MATROSKA = (
    *("aac", "ac3", "eac3", "mp3", "mp2", "opus", "vorbis", "flac", "alac", "dts", "truehd", "pcm_u8", "pcm_s16le"),
    *("pcm_s24le", "pcm_s32le", "pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32le", "pcm_f64le"),
)
HELD = {
    ".mp4": ("aac", "ac3", "eac3", "mp3", "opus", "flac", "alac"),
    ".mkv": _MATROSKA,
    ".webm": ("opus", "vorbis"),
}
"""Codecs whose packets are copied into a container, by its ending: those that players find there."""
_INTERLEAVED = 10
"""Seconds by which packets of two tracks may lie apart in a file."""


def why_not(beside: Beside, ending: str) -> str:
    """Say which sound an output of that ending does not get, and what would; empty where it gets all there is."""
    lost = sorted({codec for codec in beside.sound if codec not in HELD.get(ending, ())})
    if not lost:
        return ""
    if ending not in HELD:
        return f"its sound ({', '.join(lost)}) is not carried over: {ending} holds video alone. Write {_listed(HELD)}."
    others = [other for other in HELD if set(beside.sound) <= set(HELD[other])]
    advice = f"Write {_listed(others)}." if others else "Convert it first."
    return f"its sound ({', '.join(lost)}) is not carried over: {ending} takes {', '.join(HELD[ending])}. {advice}"


def _listed(endings: dict[str, tuple[str, ...]] | list[str]) -> str:
    return " or ".join(endings)


class Sound:
    """Sound tracks of a clip that a container holds, read as far as its video has come.

    Times are those of the output: seconds from its start, which is the first frame or, where the sound begins earlier,
    the sound. `video_start` is when the first frame is shown.
    """

    def __init__(self, source: Path, container: av.container.InputContainer, start: Fraction, ending: str) -> None:
        self._source = source
        self._container = container
        self._tracks = [track for track in container.streams.audio if codec_of(track) in HELD[ending]]
        begins = [time for track in self._tracks if (time := _seconds(track.start_time, track)) is not None]
        self._origin = min([start, *begins])
        self.video_start = start - self._origin
        self._targets: dict[int, av.AudioStream] = {}
        self._packets = self._read()
        self._held: list[tuple[Fraction, av.Packet[Any]]] = []
        self._reached = dict.fromkeys((track.index for track in self._tracks), Fraction(-1))
        self._at_end = False

    @property
    def codecs(self) -> list[str]:
        """Codec of every track."""
        return [codec_of(track) for track in self._tracks]

    def add_to(self, output: av.container.OutputContainer) -> None:
        """Add a stream for each track, with its language and title; before anything is written."""
        for track in self._tracks:
            added = output.add_stream_from_template(track)
            added.disposition = track.disposition
            added.metadata.update({k: v for k, v in track.metadata.items() if k in ("language", "title")})
            self._targets[track.index] = added

    def until(self, end: Fraction | None) -> "list[av.Packet[Any]]":
        """Packets not yet given that begin before `end`, or all that are left, for the streams of `add_to`."""
        while not self._at_end and (end is None or self._wanted(end)):
            found = next(self._packets, None)
            if found is None:
                self._at_end = True
                break
            self._held.append(found)
            self._reached[found[1].stream.index] = found[0]
        given = [packet for time, packet in self._held if end is None or time < end]
        self._held = [] if end is None else [(time, packet) for time, packet in self._held if time >= end]
        for packet in given:
            packet.stream = self._targets[packet.stream.index]
        return given

    def _wanted(self, end: Fraction) -> bool:
        """Whether to read on: a track is behind, unless another is so far on that the first one has none there."""
        return min(self._reached.values()) < end and max(self._reached.values()) < end + _INTERLEAVED

    def _read(self) -> "Iterator[tuple[Fraction, av.Packet[Any]]]":
        """Yield the packets with their times, moved to the output's."""
        follows = dict.fromkeys((track.index for track in self._tracks), 0)
        try:
            for packet in self._container.demux(*self._tracks):
                if not packet.size:  # at the end of a track
                    continue
                if packet.pts is None:
                    packet.pts = follows[packet.stream.index] if packet.dts is None else packet.dts
                follows[packet.stream.index] = packet.pts + (packet.duration or 0)
                packet.pts -= round(self._origin / packet.time_base)
                packet.dts = packet.pts
                yield packet.pts * packet.time_base, packet
        except av.error.FFmpegError as error:
            raise ToolkitError(f"{self._source}: its sound is damaged ({error}). --no-audio leaves it out.") from None


def _seconds(stamp: int | None, of: "av.stream.Stream | av.Packet[Any]") -> Fraction | None:
    return None if stamp is None or of.time_base is None else stamp * of.time_base


@contextmanager
def opened_sound(source: Path, beside: Beside, ending: str) -> Iterator[Sound | None]:
    """Open the sound of a clip for an output of that ending; None where there is none that it holds."""
    if not any(codec in HELD.get(ending, ()) for codec in beside.sound):
        yield None
        return
    with demux(source) as container:
        yield Sound(source, container, beside.start, ending)
