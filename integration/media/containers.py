"""Files that AV1 packets are written to, chosen by the ending of their name."""

import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av

from integration.codec.encoder import EncodedFrame
from toolkit.errors import ToolkitError
from toolkit.files import atomic_file

Write = Callable[[EncodedFrame], None]


@contextmanager
def output_file(path: Path, width: int, height: int, rate: Fraction) -> Iterator[Write]:
    """Open a file for the frames of one encode; call the function that is yielded with each frame, in order.

    The ending decides the format: .ivf; .obu, the low-overhead format of section 5 of the AV1 specification, with a
    temporal delimiter before every temporal unit; .mp4, .mkv or .webm, by FFmpeg, which makes their av1C from the first
    packet's sequence header. The file is written whole or not at all. Raises ToolkitError on another ending, or where
    the path cannot be written.
    """
    check_ending(path)
    with atomic_file(path) as temporary, WRITERS[path.suffix.lower()](temporary, width, height, rate) as write:
        yield write


def check_ending(path: Path) -> None:
    """Raise ToolkitError where no file of that ending can be written."""
    if path.suffix.lower() not in WRITERS:
        raise ToolkitError(f"{path}: expected a name that ends in {', '.join(WRITERS)}.")


def check_target(path: Path, source: Path, overwrite: bool) -> None:
    """Raise ToolkitError where `path` may not be written: it is the source, or exists without `overwrite`."""
    check_ending(path)
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
def _ivf(path: Path, width: int, height: int, rate: Fraction) -> Iterator[Write]:
    with path.open("wb") as file:
        ivf = IvfWriter(file, width, height, rate)
        yield lambda frame: ivf.write(frame.data)
        ivf.finish()


@contextmanager
def _obu(path: Path, width: int, height: int, rate: Fraction) -> Iterator[Write]:
    with path.open("wb") as file:

        def write(frame: EncodedFrame) -> None:
            file.write(frame.data)  # libaom's packets are temporal units and include the delimiter

        yield write


@contextmanager
def _container(path: Path, width: int, height: int, rate: Fraction) -> Iterator[Write]:
    try:
        # bitexact: without Matroska's random ids, so that equal encodes give equal files
        with av.open(str(path), "w", container_options={"fflags": "+bitexact"}) as container:
            stream = container.add_mux_stream("av1", rate=rate, width=width, height=height)

            def write(frame: EncodedFrame) -> None:
                packet = av.Packet(frame.data)
                packet.stream, packet.time_base = stream, 1 / rate
                packet.pts = packet.dts = frame.number  # temporal units come in display order
                packet.duration, packet.is_keyframe = 1, frame.key
                container.mux(packet)

            yield write
    except av.error.FFmpegError as error:
        raise ToolkitError(f"{path}: could not be written ({error}). Nothing was changed there.") from None


WRITERS: dict[str, Callable[[Path, int, int, Fraction], AbstractContextManager[Write]]] = {
    ".ivf": _ivf,
    ".obu": _obu,
    ".mp4": _container,
    ".mkv": _container,
    ".webm": _container,
}
