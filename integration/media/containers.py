"""Files that AV1 packets are written to, chosen by the ending of their name."""

import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av

from integration.codec.config import UNDESCRIBED, Colour
from integration.codec.encoder import EncodedFrame
from integration.codec.hdr import NO_HDR, Hdr
from integration.media.av1_track import described_track
from integration.media.sound import Sound
from toolkit.errors import ToolkitError
from toolkit.files import atomic_file
from toolkit.sealed import check_unsealed

Write = Callable[[EncodedFrame], None]


@dataclass(frozen=True)
class Described:
    """What an output says of its video, and the sound that it gets, None for none.

    With `cut`, sound ends where the last frame does.
    """

    width: int
    height: int
    rate: Fraction
    colour: Colour = UNDESCRIBED
    hdr: Hdr = NO_HDR
    sound: Sound | None = None
    cut: bool = False


@contextmanager
def output_file(path: Path, described: Described) -> Iterator[Write]:
    """Open a file for the frames of one encode; call the function that is yielded with each frame, in order.

    The ending decides the format: .ivf; .obu, the low-overhead format of section 5 of the AV1 specification, with a
    temporal delimiter before every temporal unit; .mp4, .mkv or .webm, by FFmpeg, which makes their av1C from the first
    packet's sequence header. Colour, HDR metadata and sound are for the last three. The file is written whole or not at
    all. Raises ToolkitError on another ending, or where the path cannot be written.
    """
    check_ending(path)
    with atomic_file(path) as temporary, WRITERS[path.suffix.lower()](temporary, described) as write:
        yield write


def check_ending(path: Path) -> None:
    """Raise ToolkitError where no file of that ending can be written."""
    if path.suffix.lower() not in WRITERS:
        raise ToolkitError(f"{path}: expected a name that ends in {', '.join(WRITERS)}.")


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
        self._head = (b"DKIF", 0, 32, b"AV01", width, height, rate.numerator, rate.denominator)
        self._write_header()

    def _write_header(self) -> None:
        self._file.write(struct.pack("<4sHH4sHHIIII", *self._head, self.frames, 0))

    def write(self, packet: bytes) -> None:
        """Append the next frame's packet, whose time stamp is the frame's number."""
        self._file.write(struct.pack("<IQ", len(packet), self.frames) + packet)
        self.frames += 1

    def finish(self) -> None:
        """Put the number of frames into the header."""
        self._file.seek(0)
        self._write_header()
        self._file.seek(0, 2)


@contextmanager
def _ivf(path: Path, described: Described) -> Iterator[Write]:
    with path.open("wb") as file:
        ivf = IvfWriter(file, described.width, described.height, described.rate)
        yield lambda frame: ivf.write(frame.data)
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
            sound, rate, clock = described.sound, described.rate, _clock(described.rate)
            start = sound.video_start if sound else Fraction(0)
            each, stream = int(1 / rate / clock), None

            def write(frame: EncodedFrame) -> None:
                nonlocal stream
                stream = stream or _add_streams(output, described, frame.data)
                packet = av.Packet(frame.data)
                packet.stream, packet.time_base = stream, clock
                packet.pts = packet.dts = round(start / clock) + frame.number * each  # units come in display order
                packet.duration, packet.is_keyframe = each, frame.key
                output.mux(packet)
                if sound:
                    output.mux(sound.until(start + (frame.number + 1) / rate))

            yield write
            if sound and not described.cut:
                output.mux(sound.until(None))
    except av.error.FFmpegError as error:
        raise ToolkitError(f"{path}: could not be written ({error}). Nothing was changed there.") from None


def _clock(rate: Fraction) -> Fraction:
    """Unit of the time stamps, in seconds: at most 0.1 ms, so that a late start fits, and frames last whole units."""
    return Fraction(1, rate.numerator * -(-10_000 // rate.numerator))


def _add_streams(output: av.container.OutputContainer, described: Described, unit: bytes) -> av.VideoStream:
    """Add the video's stream, described as the first temporal `unit` and the source say, and those of the sound."""
    d = described
    with described_track(unit, d.width, d.height, d.colour, d.hdr) as track:
        stream = output.add_stream_from_template(track, opaque=True)
    stream.codec_context.framerate, stream.time_base = d.rate, _clock(d.rate)
    if d.sound:
        d.sound.add_to(output)
    return stream


WRITERS: dict[str, Callable[[Path, Described], AbstractContextManager[Write]]] = {
    ".ivf": _ivf,
    ".obu": _obu,
    ".mp4": _container,
    ".mkv": _container,
    ".webm": _container,
}
