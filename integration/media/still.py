"""What a picture's file holds beside its colours, as AVIF takes it over."""

import re
import struct
from dataclasses import dataclass
from typing import Any

from PIL import Image

from toolkit.data.blockset import Luma

_ORIENTATION = 0x0112
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>))[2-8]")


@dataclass(frozen=True)
class Still:
    """Opacity (H, W) of a picture, as deep as its colours and None where it is opaque; profile, EXIF and XMP as bytes.

    EXIF is the TIFF structure alone. Empty bytes: the picture has none.
    """

    alpha: Luma | None = None
    icc: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""


OPAQUE = Still()


def profile_of(image: Image.Image, space: bytes, notes: list[str]) -> bytes:
    """Colour profile of a picture where it is one for that colour space, `RGB ` or `GRAY`, as ICC names it."""
    profile: bytes = image.info.get("icc_profile") or b""
    if profile and (len(profile) < 128 or profile[36:40] != b"acsp"):
        notes.append("Its colour profile is damaged, and left out: its colours are a guess.")
        return b""
    return profile if profile[16:20] == space else b""


def metadata_of(info: dict[Any, Any], notes: list[str]) -> tuple[bytes, bytes]:
    """EXIF and XMP of a picture that was turned upright, and that they call upright too."""
    given: bytes = (info.get("exif") or b"").removeprefix(b"Exif\0\0")
    exif, xmp = _upright_exif(given), info.get("xmp") or b""
    if given and not exif:
        notes.append("Its EXIF is damaged, and left out.")
    xmp = xmp.encode() if isinstance(xmp, str) else bytes(xmp)
    return exif, _XMP_ORIENTATION.sub(rb"\g<1>1", xmp).rstrip(b"\0")


def _upright_exif(exif: bytes) -> bytes:
    """The same EXIF with an orientation of 1; empty where its first directory cannot be read."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return b""
    try:
        (at,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, at)
        for place in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(order + "HH", exif, place)
            if tag == _ORIENTATION and kind == 3:  # a number of 16 bits, at the beginning of four bytes
                return exif[: place + 8] + struct.pack(order + "H", 1) + exif[place + 10 :]
    except struct.error:
        return b""
    return exif
