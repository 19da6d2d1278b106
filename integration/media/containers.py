"""Files that AV1 packets are written to, chosen by the ending of their name."""

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av

from integration.codec.encoder import EncodedFrame
from integration.media.av1_track import described_track
from integration.media.avif import avif_file
from integration.media.beside import NOTHING, Beside, moved
from integration.media.clip import Clip
from integration.media.sound import Sound
from integration.media.still import OPAQUE
from toolkit.errors import ToolkitError
from toolkit.files import atomic_file
from toolkit.folders import check_unsealed

Write = Callable[[EncodedFrame], None]
_FINEST = 1_000_000
"""Parts of a second: finer time stamps would overflow where a player counts in 32 bits."""


@dataclass(frozen=True)
class Described:
    """What an output says: of the clip's frames, of what lies beside them, and the sound that it gets, None for none.

    With `cut`, sound ends where the last frame does, and there are no chapters. `alpha` is the coded opacity of a
    picture, empty where it is opaque.
    """

    clip: Clip
    beside: Beside = NOTHING
    sound: Sound | None = None
    cut: bool = False
    alpha: bytes = b""


@contextmanager
def output_file(path: Path, described: Described) -> Iterator[Write]:
    """Open a file for the frames of one encode; call the function that is yielded with each frame, in order.

    The ending decides the format: .ivf; .obu, the low-overhead format of section 5 of the AV1 specification, with a
    temporal delimiter before every temporal unit; .avif, of one picture; .mp4, .mkv or .webm, by FFmpeg, which makes
    their av1C from the first packet's sequence header. All but .obu and .avif say when each frame is shown; colour, HDR
    metadata, title, chapters and sound are for the last three, the aspect of samples for .mp4. The file is written
    whole or not at all. Raises ToolkitError on another ending, or where the path cannot be written.
    """
    check_ending(path)
    with atomic_file(path) as temporary, WRITERS[path.suffix.lower()](temporary, described) as write:
        yield write


def check_ending(path: Path) -> None:
    """Raise ToolkitError where no file of that ending can be written."""
    if path.suffix.lower() not in WRITERS:
        raise ToolkitError(
            f"{path}: expected a name that ends in {', '.join(WRITERS)}; or, for pictures, a folder, with / at its "
            "end where it is not there yet."
        )


def check_target(path: Path, source: Path, overwrite: bool) -> None:
    """Raise ToolkitError where `path` may not be written.

    It is the source, lies in a sealed folder, or exists without `overwrite`.
    """
    check_ending(path)
    check_unsealed(path)
    if not path.exists():
        return
    if source.exists() and path.samefile(source):
        raise ToolkitError(f"{path} is the source itself, which would be lost. Choose another name.")
    if not path.is_file():
        raise ToolkitError(f"{path} is no file that could be replaced. Choose another name.")
    if not overwrite:
        raise ToolkitError(f"{path} exists already. Choose another name, remove it, or pass --overwrite.")


class IvfWriter:
    """IVF, the plainest container of AV1 packets, written to a seekable file; `finish` completes its header."""

    def __init__(self, file: BinaryIO, width: int, height: int, rate: Fraction) -> None:
        self.frames = 0
        self._file = file
        self._head, self._rate = (b"DKIF", 0, 32, b"AV01", width, height), rate
        self._stamps: list[int] = []
        self._length = 0
        self._write_header()

    def _write_header(self) -> None:
        rate = self._rate.numerator, self._rate.denominator
        self._file.write(struct.pack("<4sHH4sHHIIII", *self._head, *rate, self._length or self.frames, 0))

    def write(self, packet: bytes) -> None:
        """Append the next frame's packet, whose time stamp is the frame's number."""
        self._stamps.append(self._file.tell() + 4)
        self._file.write(struct.pack("<IQ", len(packet), self.frames) + packet)
        self.frames += 1

    def stamp(self, spans: Sequence[tuple[Fraction, Fraction]], unit: Fraction) -> None:
        """Replace the time stamps of all frames by their starts, of spans in seconds, which are rounded to the unit.

        The header then has the length in units, as FFmpeg writes it, in the place of the number of frames.
        """
        for place, (start, _) in zip(self._stamps, spans, strict=True):
            self._file.seek(place)
            self._file.write(struct.pack("<Q", round(start / unit)))
        self._rate, self._length = 1 / unit, round(spans[-1][1] / unit)

    def finish(self) -> None:
        """Put the length into the header: the number of frames, unless `stamp` gave them times."""
        self._file.seek(0)
        self._write_header()
        self._file.seek(0, 2)


@contextmanager
def _ivf(path: Path, described: Described) -> Iterator[Write]:
    with path.open("wb") as file:
        clip = described.clip
        ivf = IvfWriter(file, clip.width, clip.height, clip.rate)
        yield lambda frame: ivf.write(frame.data)
        if not clip.is_even(ivf.frames):
            ivf.stamp([clip.span(number) for number in range(ivf.frames)], _unit(clip))
        ivf.finish()


@contextmanager
def _obu(path: Path, described: Described) -> Iterator[Write]:
    with path.open("wb") as file:

        def write(frame: EncodedFrame) -> None:
            file.write(frame.data)  # libaom's packets are temporal units and include the delimiter

        yield write


@contextmanager
def _container(path: Path, described: Described) -> Iterator[Write]:
    try:
        # bitexact: without Matroska's random ids, so that equal encodes give equal files
        with av.open(str(path), "w", container_options={"fflags": "+bitexact"}) as output:
            clip, sound, unit = described.clip, described.sound, _unit(described.clip)
            begins = sound.video_start if sound else Fraction(0)
            _name(output, described, begins)
            stream = None

            def write(frame: EncodedFrame) -> None:
                nonlocal stream
                stream = stream or _add_streams(output, described, frame.data)
                start, end = (begins + time for time in clip.span(frame.number))
                packet = av.Packet(frame.data)
                packet.stream, packet.time_base = stream, unit
                packet.pts = packet.dts = round(start / unit)  # units come in display order
                packet.duration, packet.is_keyframe = round(end / unit) - packet.pts, frame.key
                output.mux(packet)
                if sound:
                    output.mux(sound.until(end))

            yield write
            if sound and not described.cut:
                output.mux(sound.until(None))
    except av.error.FFmpegError as error:
        raise ToolkitError(f"{path}: could not be written ({error}). Nothing was changed there.") from None


@contextmanager
def _avif(path: Path, described: Described) -> Iterator[Write]:
    units: list[bytes] = []
    yield lambda frame: units.append(frame.data)
    clip = described.clip
    path.write_bytes(avif_file(units[0], described.alpha, clip.form, clip.colour, clip.still or OPAQUE))


def _unit(clip: Clip) -> Fraction:
    """Unit of the time stamps in seconds: at most 0.1 ms, so that a late start fits, and such that they are exact.

    Exact are the starts of frames at the clip's rate, and the times that its file holds unless their unit is very odd.
    """
    exact = math.lcm(clip.rate.numerator, clip.tick.denominator)
    parts = exact if exact <= _FINEST else clip.rate.numerator
    return Fraction(1, parts * -(-10_000 // parts))


def _name(output: av.container.OutputContainer, described: Described, begins: Fraction) -> None:
    """Give the output the source's title and, where it is not cut, its chapters, moved as the first frame is."""
    beside = described.beside
    if beside.title:
        output.metadata["title"] = beside.title
    if beside.chapters and not described.cut:
        output.set_chapters([moved(chapter, begins - beside.start) for chapter in beside.chapters])


def _add_streams(output: av.container.OutputContainer, described: Described, unit: bytes) -> av.VideoStream:
    """Add the video's stream, described as the first temporal `unit` and the source say, and those of the sound."""
    clip, beside = described.clip, described.beside
    with described_track(unit, clip.width, clip.height, clip.colour, beside.hdr) as track:
        stream = output.add_stream_from_template(track, opaque=True)
    stream.codec_context.framerate, stream.time_base = clip.rate, _unit(clip)
    stream.codec_context.sample_aspect_ratio = beside.aspect
    if described.sound:
        described.sound.add_to(output)
    return stream


WRITERS: dict[str, Callable[[Path, Described], AbstractContextManager[Write]]] = {
    ".avif": _avif,
    ".ivf": _ivf,
    ".obu": _obu,
    ".mp4": _container,
    ".mkv": _container,
    ".webm": _container,
}
HOLD_TIMES = tuple(ending for ending in WRITERS if ending not in (".avif", ".obu"))
"""Endings of files that say when each frame is shown."""


def unheld(beside: Beside, ending: str, *, cut: bool = False) -> list[str]:
    """Name what an output of that ending does not say of its source, apart from sound; `cut` is as of `Described`."""
    held = WRITERS.get(ending) is _container
    sides = f"{beside.aspect.numerator}:{beside.aspect.denominator}"
    aspect = f"its samples' aspect of {sides} (it stands in the AV1 stream, where not every player looks)"
    count = len(beside.chapters)
    chapters = f"{count} chapter{'s' * (count > 1)}"
    lost = {aspect: beside.aspect != 1 and ending != ".mp4", "the title": bool(beside.title) and not held}
    lost |= {chapters: bool(beside.chapters) and (cut or not held)}
    return [name for name, there in lost.items() if there]
