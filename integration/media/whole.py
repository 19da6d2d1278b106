"""Whether a file has all the bytes that its own structure announces: AVI, IVF, MP4, QuickTime, Matroska and WebM."""

import struct
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_FRAGMENT = b"moof"


def is_whole(path: Path) -> bool:
    """Whether a file ends where its structure says; False where bytes are missing, or where it does not say."""
    with path.open("rb") as file:
        head = file.read(12)
        size = path.stat().st_size
        file.seek(0)
        if head.startswith(b"RIFF"):
            return _riff(file, size)
        if head.startswith(b"DKIF"):
            return _ivf(file, size)
        if head.startswith(_EBML):
            return _matroska(file, size)
        return head[4:8].isalpha() and _boxes(file, size)


def _riff(file: BinaryIO, size: int) -> bool:
    """AVI is a chunk of a name, a size and so many bytes; a file above 1 GB has several."""
    end = 0
    while end < size:
        file.seek(end)
        head = file.read(8)
        if not head.startswith(b"RIFF"):
            return end > 0  # something else behind the last chunk
        end += 8 + int(struct.unpack("<I", head.ljust(8, b"\xff")[4:])[0])
    return end == size


def _ivf(file: BinaryIO, size: int) -> bool:
    """IVF is a head with a length, then frames with their sizes and time stamps.

    The length is in the unit of the time stamps, in most files the number of frames.
    """
    head = file.read(32).ljust(32, b"\0")
    frames, stamp = 0, 0
    while len(frame := file.read(12)) == 12:
        length, stamp = struct.unpack("<IQ", frame)
        frames += 1
        file.seek(length, 1)
    step = stamp // max(1, frames - 1)
    return file.tell() == size and int(struct.unpack("<I", head[24:28])[0]) <= stamp + 2 * max(1, step)


def _matroska(file: BinaryIO, size: int) -> bool:
    """Matroska is a head and a segment, whose size may be left open where it was written as a stream."""
    file.seek(4)
    head = _variable(file)
    if head is None:
        return False
    file.seek(head, 1)
    if file.read(4) != _SEGMENT:
        return False
    segment = _variable(file)
    return segment is not None and file.tell() + segment <= size


def _variable(file: BinaryIO) -> int | None:
    """The size of an element, whose first byte says in how many bytes it is written; None where it is left open."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    rest = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (1 << 7 - rest) - 1]) + file.read(rest), "big")
    return None if value == (1 << 7 * (rest + 1)) - 1 else value


def _boxes(file: BinaryIO, size: int) -> bool:
    """MP4 and QuickTime are boxes of a size, a name and content; the one named moov says where the frames lie.

    Of a file in fragments nothing says how many there should be.
    """
    end, names = 0, set()
    while end + 8 <= size:
        file.seek(end)
        length, name = struct.unpack(">I4s", file.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8).ljust(8, b"\xff"))
        if length == 0 and name == b"mdat":  # up to the end, wherever that is
            return False
        if length < 8:  # something else behind the last box
            break
        names.add(name)
        end += length
    return end <= size and b"moov" in names and _FRAGMENT not in names
