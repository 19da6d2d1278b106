"""PNG's chunks, as far as Pillow does not read them: colours in numbers, and copies without damaged chunks."""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from integration.codec.config import UNSPECIFIED, Colour
from integration.media.colour import BT601
from toolkit.errors import ToolkitError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = {b"tEXt", b"zTXt", b"iTXt", b"eXIf"}
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_GAMMA = 0.45455
_CHROMATICITIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""sRGB's, as the chunks gAMA and cHRM write them: white, red, green and blue."""


def said_by_png(path: Path) -> Colour | None:
    """Colours that the chunk cICP of a PNG names, None without one.

    Raises ToolkitError where it names anything but full-range RGB.
    """
    said = next((body for name, body, _ in _chunks(path.read_bytes()) if name == b"cICP" and len(body) == 4), None)
    if said is None:
        return None
    primaries, transfer, matrix, full = said
    if matrix or not full:
        raise ToolkitError("its cICP chunk says YCbCr or narrow range; expected full-range RGB. Convert it first.")
    if primaries == transfer == UNSPECIFIED:
        return None
    return Colour.of(primaries, transfer, BT601, False)


def raw_profiles(info: Mapping[str | tuple[int, int], Any]) -> tuple[dict[str, bytes], bool]:
    """What ImageMagick keeps as texts in a PNG, by name: `exif`, `xmp`, `iptc`; and whether one is damaged.

    Such a text has a name, a length in bytes, and the bytes in hexadecimal digits. A JPEG's segment, `APP1`, is EXIF or
    XMP by how it begins.
    """
    found: dict[str, bytes] = {}
    damaged = False
    for name in ("exif", "xmp", "iptc", "APP1"):
        text = info.get(f"Raw profile type {name}")
        if text is None:
            continue
        try:
            _, length, *digits = str(text).split()
            body = bytes.fromhex("".join(digits))
        except ValueError:
            length, body = "-1", b""
        if length != str(len(body)):
            damaged = True
        elif name == "APP1" and body.startswith(_XMP):
            found.setdefault("xmp", body.removeprefix(_XMP))
        else:
            found.setdefault("exif" if name == "APP1" else name, body)
    return found, damaged


def gamma_differs(info: Mapping[str | tuple[int, int], Any]) -> bool:
    """Whether chunks of a PNG without profile and cICP say a gamma or chromaticities that are not sRGB's."""
    if info.get("icc_profile") or "srgb" in info:
        return False
    found = [info.get("gamma", _GAMMA), *info.get("chromaticity", _CHROMATICITIES)]
    return any(abs(a - b) > 0.01 for a, b in zip(found, [_GAMMA, *_CHROMATICITIES], strict=True))


def mended_copies(path: Path) -> Iterator[tuple[bytes, str]]:
    """Yield copies of a damaged PNG without its texts, then with its picture alone, and what each lacks."""
    data = path.read_bytes()
    chunks = list(_chunks(data))
    for kept, lacks in (
        (lambda name: name not in _TEXTS, "texts and EXIF"),
        (lambda name: name[:1].isupper() or name == b"tRNS", "texts, EXIF and colour profile"),
    ):
        if chunks:
            yield _SIGNATURE + b"".join(whole for name, _, whole in chunks if kept(name)), lacks


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield name, body and the whole of each chunk of a PNG; nothing of another file."""
    at = len(_SIGNATURE) if data.startswith(_SIGNATURE) else len(data)
    while at < len(data):
        length = struct.unpack_from(">I", data.ljust(at + 8, b"\0"), at)[0]
        whole = data[at : at + 12 + length]
        yield whole[4:8], whole[8 : 8 + length], whole
        at += 12 + length
