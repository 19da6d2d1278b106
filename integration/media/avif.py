"""AVIF files: AV1 frames as the items of a HEIF file (ISO/IEC 23008-12), and what belongs to them.

Libraries that write AVIF code the picture themselves, each with a libaom of its own, and FFmpeg's muxer leaves profiles
and EXIF out. So the boxes around a frame that is coded already are put together here.
"""

import struct
from dataclasses import dataclass, replace

from integration.codec.config import Colour, FrameFormat
from integration.media.av1_track import sequence_header
from integration.media.still import Still

_COLOUR, _ALPHA, _EXIF, _XMP = 1, 2, 3, 4
_OPACITY = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"
_DELIMITER = b"\x12\0"
"""A temporal delimiter, which has no place in an item."""
_ESSENTIAL = 0x80
_BASELINE, _ADVANCED = 13, 16
"""Highest levels (5.1 and 6.0) of AVIF's profiles for AV1's profiles Main and High."""


@dataclass(frozen=True)
class _Item:
    """An item of a file: its number, four letters of its type, what its entry says after these, and its content."""

    number: int
    kind: bytes
    name: bytes
    data: bytes


def avif_file(frame: bytes, alpha: bytes, form: FrameFormat, colour: Colour, still: Still) -> bytes:
    """An AVIF file of one picture; `frame` and `alpha` are temporal units of still pictures, `alpha` empty for none.

    `form` is that of the frame; alpha is luma alone of the same size and bit depth.
    """
    items = [_Item(_COLOUR, b"av01", b"Color\0", frame.removeprefix(_DELIMITER))]
    if alpha:
        items.append(_Item(_ALPHA, b"av01", b"Alpha\0", alpha.removeprefix(_DELIMITER)))
    if still.exif:  # first the place of the TIFF header in what follows
        items.append(_Item(_EXIF, b"Exif", b"Exif\0", bytes(4) + still.exif))
    if still.xmp:
        items.append(_Item(_XMP, b"mime", b"XMP\0application/rdf+xml\0", still.xmp))
    properties = _properties(items, form, colour, still)
    head = _brands(_av1_config(items[0].data, form))
    empty = len(head) + len(_meta(items, properties, 0))
    content = b"".join(item.data for item in items)
    return head + _meta(items, properties, empty + 8) + _box(b"mdat", content)


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, version: int, *parts: bytes, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)


def _brands(config: bytes) -> bytes:
    """The file's first box: what a reader has to be able to, by the profile and level in the frame's configuration."""
    profile, level = config[1] >> 5, config[1] & 31
    brands = [b"avif", b"mif1", b"miaf"]
    brands += [b"MA1B"] * (profile == 0 and level <= _BASELINE)
    brands += [b"MA1A"] * (profile == 1 and level <= _ADVANCED)
    return _box(b"ftyp", b"avif", bytes(4), *brands)


def _meta(items: list[_Item], properties: bytes, start: int) -> bytes:
    """The box that describes the items, whose content lies one after the other from `start`."""
    handler = _full(b"hdlr", 0, bytes(4), b"pict", bytes(12), b"\0")
    primary = _full(b"pitm", 0, struct.pack(">H", _COLOUR))
    places, at = [], start
    for item in items:
        places.append(struct.pack(">3H2I", item.number, 0, 1, at, len(item.data)))
        at += len(item.data)
    where = _full(b"iloc", 0, b"\x44\0", struct.pack(">H", len(items)), *places)
    entries = [_full(b"infe", 2, struct.pack(">2H", item.number, 0), item.kind, item.name) for item in items]
    what = _full(b"iinf", 0, struct.pack(">H", len(items)), *entries)
    return _full(b"meta", 0, handler, primary, where, what, _references(items), properties)


def _references(items: list[_Item]) -> bytes:
    """What every other item is to the picture: its opacity, or a description of it."""
    kinds = [(b"auxl" if item.number == _ALPHA else b"cdsc", item.number) for item in items[1:]]
    return _full(b"iref", 0, *(_box(kind, struct.pack(">3H", n, 1, _COLOUR)) for kind, n in kinds)) if kinds else b""


def _properties(items: list[_Item], form: FrameFormat, colour: Colour, still: Still) -> bytes:
    """Boxes of properties, and by number which item has which."""
    coded = [item for item in items if item.kind == b"av01"]
    boxes = [_full(b"ispe", 0, struct.pack(">2I", form.width, form.height))]
    of: dict[int, list[int]] = {item.number: [1] for item in coded}

    def add(item: int, box: bytes, essential: int = 0) -> None:
        boxes.append(box)
        of[item].append(len(boxes) | essential)

    for item in coded:
        own = form if item.number == _COLOUR else replace(form, chroma=400)
        add(item.number, _full(b"pixi", 0, bytes([own.planes, *[own.bit_depth] * own.planes])))
        add(item.number, _box(b"av1C", _av1_config(item.data, own)), _ESSENTIAL)
    numbers = struct.pack(">3HB", colour.primaries, colour.transfer, colour.matrix, colour.full_range << 7)
    add(_COLOUR, _box(b"colr", b"nclx", numbers))
    if still.icc:
        add(_COLOUR, _box(b"colr", b"prof", still.icc))
    if _ALPHA in of:
        add(_ALPHA, _full(b"auxC", 0, _OPACITY))
    lists = [struct.pack(">HB", number, len(places)) + bytes(places) for number, places in of.items()]
    belongs = _full(b"ipma", 0, struct.pack(">I", len(lists)), *lists)
    return _box(b"iprp", _box(b"ipco", *boxes), belongs)


def _av1_config(item: bytes, form: FrameFormat) -> bytes:
    """The four bytes of an av1C box; profile and level are those of the sequence header of a still picture."""
    profile_and_more, rest = sequence_header(item)[2:4]  # behind the OBU's own header and a size below 128
    level = (profile_and_more & 7) << 2 | rest >> 6  # behind three bits of the profile, two of a still picture
    deep, twelve = form.bit_depth > 8, form.bit_depth == 12
    luma_alone, across, down = form.chroma == 400, form.chroma != 444, form.chroma in (400, 420)
    samples = deep << 6 | twelve << 5 | luma_alone << 4 | across << 3 | down << 2
    return bytes([0x81, profile_and_more >> 5 << 5 | level, samples, 0])
