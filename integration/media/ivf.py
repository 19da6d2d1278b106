"""IVF: the plainest container of AV1 packets, one a frame."""

import struct
from fractions import Fraction
from typing import BinaryIO


class IvfWriter:
    """Write packets to a seekable file; the header's frame count is kept up to date by `finish`."""

    def __init__(self, file: BinaryIO, width: int, height: int, rate: Fraction) -> None:
        self.frames = 0
        self._file = file
        self._head = (b"DKIF", 0, 32, b"AV01", width, height, rate.numerator, rate.denominator)
        self._write_header()

    def _write_header(self) -> None:
        self._file.write(struct.pack("<4sHH4sHHIIII", *self._head, self.frames, 0))

    def write(self, packet: bytes) -> None:
        """Append the next frame's packet; its time stamp is its number."""
        self._file.write(struct.pack("<IQ", len(packet), self.frames) + packet)
        self.frames += 1

    def finish(self) -> None:
        """Put the frame count into the header."""
        self._file.seek(0)
        self._write_header()
        self._file.seek(0, 2)
