"""What a picture's file holds beside its colours, as AVIF takes it over."""

import re
import struct
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image

from integration.media.png import raw_profiles
from toolkit.data.blockset import Luma

_ORIENTATION = 0x0112
_IPTC = 0x0404
"""Number of IPTC data among Photoshop's blocks in a JPEG."""
_EXIF = b"Exif\0\0"
_DESCRIBING = (
    ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.XResolution,
    ExifTags.Base.YResolution, ExifTags.Base.ResolutionUnit, ExifTags.Base.Software, ExifTags.Base.DateTime,
    ExifTags.Base.Artist, ExifTags.Base.HostComputer, ExifTags.Base.Copyright,
)  # fmt: skip
"""Tags of a TIFF's first directory that say something of the picture, and not how the file holds it."""
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
    """EXIF and XMP of a picture that was turned upright, and that they call upright too; a note says what is lost."""
    texts, damaged = raw_profiles(info)
    given: bytes = (info.get("exif") or texts.get("exif") or b"").removeprefix(_EXIF)
    exif, xmp = _upright_exif(given), info.get("xmp") or texts.get("xmp") or b""
    if (given and not exif) or damaged:
        notes.append("Its EXIF is damaged, and left out.")
    if "iptc" in texts or _IPTC in info.get("photoshop", {}):
        notes.append("Its IPTC data are left out.")
    xmp = xmp.encode() if isinstance(xmp, str) else bytes(xmp)
    return exif, _XMP_ORIENTATION.sub(rb"\g<1>1", xmp).rstrip(b"\0")


def exif_of_tiff(image: Image.Image) -> bytes:
    """EXIF of a TIFF that is not loaded yet, whose own directory holds it; empty where it has none.

    What describes the file's samples stays behind: AVIF says that itself.
    """
    own, kept = image.getexif(), Image.Exif()
    kept.update({tag: own[tag] for tag in _DESCRIBING if tag in own})
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if found := own.get_ifd(directory):
            kept[directory] = dict(found)
    return kept.tobytes() if kept else b""


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
