"""An AV1 track that FFmpeg's muxers copy their description from.

PyAV cannot set a stream's side data or its colour, but it copies both from a stream that was read. So a Matroska file
without frames is made in memory that says all of it.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import av

from integration.codec.config import UNDESCRIBED, Colour
from integration.codec.hdr import NO_HDR, Hdr
from toolkit.errors import ToolkitError

_SEQUENCE_HEADER = 1
_LIMITED, _FULL = 1, 2
"""Matroska's numbers of the ranges. Its other numbers of colour are those of ITU-T H.273."""


@contextmanager
def described_track(unit: bytes, width: int, height: int, colour: Colour, hdr: Hdr) -> Iterator[av.VideoStream]:
    """Open a track without frames, of which a muxer takes codec, sequence header, size, colour and HDR metadata.

    `unit` is the first temporal unit. Raises ToolkitError where it holds no sequence header.
    """
    described = _colour(colour, hdr) if colour != UNDESCRIBED or hdr != NO_HDR else b""
    video = _uint("B0", width) + _uint("BA", height) + described
    number = _uint("D7", 1) + _uint("73C5", 1) + _uint("83", 1)  # of the track, its identifier, and that it is video
    track = number + _element("86", b"V_AV1") + _element("63A2", sequence_header(unit)) + _element("E0", video)
    head = _element("1A45DFA3", _element("4282", b"matroska"))
    clock = _element("1549A966", _uint("2AD7B1", 1_000_000))
    segment = clock + _element("1654AE6B", _element("AE", track)) + _element("1F43B675", _uint("E7", 0))
    file = io.BytesIO(head + _element("18538067", segment))
    with av.open(file, format="matroska") as container:
        yield container.streams.video[0]


def sequence_header(unit: bytes) -> bytes:
    """The sequence header OBU of a temporal unit (section 5.3 of the AV1 specification), its own header included."""
    at = 0
    while at < len(unit):
        kind, extended = unit[at] >> 3 & 15, unit[at] >> 2 & 1
        size, start = 0, at + 1 + extended
        for place in range(8):  # leb128: seven bits a byte, the lowest first
            size |= (unit[start] & 127) << 7 * place
            start += 1
            if unit[start - 1] < 128:
                break
        if kind == _SEQUENCE_HEADER:
            return unit[at : start + size]
        at = start + size
    raise ToolkitError("The first packet holds no sequence header, so that no player could open the file.")


def _colour(colour: Colour, hdr: Hdr) -> bytes:
    numbers = {"55B1": colour.matrix, "55BA": colour.transfer, "55BB": colour.primaries}
    numbers["55B9"] = _FULL if colour.full_range else _LIMITED
    if hdr.light:
        numbers |= {"55BC": hdr.light.brightest, "55BD": hdr.light.average}
    body = b"".join(_uint(name, value) for name, value in numbers.items())
    if hdr.mastering:
        values = [value for point in hdr.mastering.points for value in point]
        values += [hdr.mastering.brightest, hdr.mastering.darkest]
        body += _element("55D0", b"".join(_float(f"55{0xD1 + i:X}", float(value)) for i, value in enumerate(values)))
    return _element("55B0", body)


def _element(name: str, payload: bytes) -> bytes:
    """An EBML element, whose size takes eight bytes."""
    return bytes.fromhex(name) + (1 << 56 | len(payload)).to_bytes(8, "big") + payload


def _uint(name: str, value: int) -> bytes:
    return _element(name, value.to_bytes(8, "big"))


def _float(name: str, value: float) -> bytes:
    return _element(name, struct.pack(">d", value))
