"""What FFmpeg knows of a video stream and PyAV does not tell: read from the header that its Matroska muxer writes."""

import io
import struct

import av

_MASTERS = {"18538067", "1654AE6B", "AE", "E0", "55B0", "55D0"}
"""Elements that hold others: segment, tracks, track, video, colour, mastering display."""


def header_elements(stream: av.VideoStream) -> dict[str, bytes]:
    """Content of a track's elements by identifier, in hexadecimal; empty where Matroska does not hold the codec."""
    file = io.BytesIO()
    try:
        with av.open(file, "w", format="matroska") as container:
            container.add_stream_from_template(stream, opaque=True)
            container.start_encoding()
            header = file.getvalue()
    except (av.error.FFmpegError, ValueError):
        return {}
    found: dict[str, bytes] = {}
    _collect(header, found)
    return found


def number(element: bytes) -> int:
    """Value of an element that is a whole number."""
    return int.from_bytes(element, "big")


def real(element: bytes) -> float:
    """Value of an element that is a floating-point number of 4 or 8 bytes."""
    return float(struct.unpack(">f" if len(element) == 4 else ">d", element)[0])


def _collect(data: bytes, found: dict[str, bytes]) -> None:
    at = 0
    while at < len(data) and data[at]:
        name = data[at : at + 9 - data[at].bit_length()]
        at += len(name)
        if at >= len(data) or not data[at]:
            return
        wide = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + wide], "big") & (1 << 7 * wide) - 1
        at += wide
        known = size != (1 << 7 * wide) - 1
        content = data[at : at + size] if known else data[at:]
        if name.hex().upper() in _MASTERS:
            _collect(content, found)
        else:
            found.setdefault(name.hex().upper(), content)
        at += len(content)
