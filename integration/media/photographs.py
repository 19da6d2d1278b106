"""Photographs: opened, turned upright, shrunk, and converted to one frame.

What a frame cannot hold of a file, or the file says in a damaged way, is told in the photograph's notes.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import get_sampling

from integration.codec.config import Colour
from integration.media.colour import SRGB, rgb_to_planes
from integration.media.heif import is_heif, look_at_avif
from integration.media.planes import Planes, fit
from integration.media.png import gamma_differs, mended_copies, raw_profiles, said_by_png
from integration.media.profiles import plain_rgb, to_srgb
from integration.media.still import exif_of_tiff
from toolkit.errors import ToolkitError

PHOTOGRAPHS = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".gif", ".avif"}
PICTURES = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM", "GIF", "AVIF")
"""Formats that a photograph's content may have. Others, such as PostScript, would start programs."""
BACKGROUND = "white"
"""What a transparent picture is laid on."""
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How a picture becomes upright, by its EXIF orientation; 1 is upright."""
_SAMPLINGS = {0: 444, 1: 422, 2: 420}
"""Format of chroma by Pillow's number of how a JPEG samples it."""


@dataclass(frozen=True)
class Photograph:
    """A photograph as an encoder takes it: 8-bit planes, and how their samples are meant.

    `notes` are sentences on what was left out, guessed, or damaged.
    """

    planes: Planes
    colour: Colour
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opened:
    """A picture as Pillow decodes it, of 8 bits a sample, upright.

    `kind` is its file's format as Pillow names it, `bits` its bits a sample, `orientation` that of its EXIF, by which
    it was turned, 1 for none. `chroma` is 420, 422 or 444 of a JPEG that has such, else None.
    """

    image: Image.Image
    kind: str
    bits: int
    orientation: int
    chroma: int | None


def is_photograph(path: Path) -> bool:
    """Whether a file is read as a photograph, by the ending of its name."""
    return path.suffix.lower() in PHOTOGRAPHS


def read_photograph(path: Path, size: tuple[int, int] | None = None, chroma: int = 420) -> Photograph:
    """Read a photograph, upright and shrunk to fit `size`; of several pictures in a file, the first.

    Colours become sRGB by the file's profile. Where the file names its colours by numbers of ITU-T H.273 (PNG's cICP,
    AVIF's nclx), its RGB stays as it is, and these numbers describe it. Raises ToolkitError where the file cannot be
    read, or its samples have neither 8 nor 16 bit.
    """
    notes: list[str] = []
    with reading(path, notes):
        opened = open_picture(path, notes)
        image = opened.image
        note_depth(opened, notes)
        colour = said_in_numbers(path, image, notes)
        rgb = _opaque(image, notes, described=colour is not None)
    target = fit(*rgb.size, size)
    if target != rgb.size:
        rgb = rgb.resize(target, Image.Resampling.LANCZOS)
    return Photograph(rgb_to_planes(np.asarray(rgb), chroma), colour or SRGB, tuple(notes))


@contextmanager
def reading(path: Path, notes: list[str]) -> Iterator[None]:
    """Turn whatever Pillow raises on a damaged file, which may be any exception, into a ToolkitError.

    What it warns of is added to the notes.
    """
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        try:
            yield
        except ToolkitError as error:
            raise ToolkitError(f"{path}: {error.message}") from None
        except Exception as error:
            raise ToolkitError(f"{path}: not readable as a photograph ({error}).") from None
    notes += dict.fromkeys(
        str(w.message).strip() for w in found if issubclass(w.category, UserWarning | RuntimeWarning)
    )


def open_picture(path: Path, notes: list[str]) -> Opened:
    """Decode a photograph; a PNG whose only damage is outside its picture, without the damaged part."""
    try:
        return _upright(path, notes)
    except Exception:
        for copy, left_out in mended_copies(path):
            found: list[str] = []
            try:
                opened = _upright(BytesIO(copy), found)
            except Exception:
                continue
            notes += [f"It is damaged, and was read without its {left_out}.", *found]
            return opened
        raise


def _upright(file: Path | BytesIO, notes: list[str]) -> Opened:
    """Decode the first picture of a file, of 8 bits a sample, and turn it as its EXIF says."""
    with Image.open(file, formats=PICTURES) as image:
        assert isinstance(image, ImageFile)
        count, bits = getattr(image, "n_frames", 1), _bits(image)
        if "exif" not in image.info and (found := raw_profiles(image.info)[0].get("exif")):
            image.info["exif"] = found  # Pillow reads one of the two forms that ImageMagick has
        orientation = _orientation(image, notes)
        exif = _exif_of_tiff(image, notes) if image.format == "TIFF" else b""
        image.load()
        kind, chroma = image.format or "", _SAMPLINGS.get(get_sampling(image))
        if orientation not in _UPRIGHT:
            orientation = 1
        turn = None if kind == "TIFF" else _UPRIGHT.get(orientation)  # Pillow itself turns what it loads of a TIFF
        upright = image.copy() if turn is None else image.transpose(turn)
        if _is_adobe_rgb(image):
            notes.append("Its EXIF says Adobe RGB, but it has no profile: its colours are taken for sRGB.")
    upright.info |= {"exif": exif} if exif else {}
    if count > 1:
        notes.append(f"It holds {count} pictures, of which the first alone is coded.")
    if upright.mode[0] == "I":  # Pillow itself takes the upper 8 of 16 bits of RGB, but not of grey
        grey = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
        grey.info = upright.info
        upright = grey
    return Opened(upright, kind, bits, orientation, chroma)


def note_depth(opened: Opened, notes: list[str]) -> None:
    """Note what is lost of samples of more than 8 bits, where Pillow's are coded."""
    if opened.bits > 8:
        notes.append(f"It has {opened.bits} bits a sample, of which the upper 8 are coded.")
        if opened.image.info.pop("transparency", None) is not None:
            notes.append("Its transparent colour is not looked for, because it has as many bits.")


def _bits(image: ImageFile) -> int:
    """Bits a sample of an opened picture that is not loaded yet, 8 to 16; ToolkitError on others."""
    deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if image.mode[0] in "IF" and not deep:
        raise ToolkitError(f"{image.mode} samples; photographs of 8 or 16 bit are read.")
    for tile in image.tile[:1]:
        if tile.codec_name == "ppm" and isinstance(tile.args, tuple):
            return max(8, int(tile.args[1]).bit_length())  # of the largest sample
        deep = deep or ";16" in str(tile.args)
    return 16 if deep else 8


def _orientation(image: Image.Image, notes: list[str]) -> Any:
    """EXIF orientation of a picture, 1 where it has none or its EXIF is damaged."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception as error:  # Pillow raises whatever a broken tag leads to
        notes.append(f"Its EXIF is damaged ({error}): it is not turned.")
        return 1


def _exif_of_tiff(image: Image.Image, notes: list[str]) -> bytes:
    """EXIF of a TIFF that is not loaded yet, empty where it has none or is damaged."""
    try:
        return exif_of_tiff(image)
    except Exception as error:  # as of `_orientation`
        notes.append(f"Its EXIF is damaged ({error}), and left out.")
        return b""


def _is_adobe_rgb(image: Image.Image) -> bool:
    """Whether EXIF says that a picture without a profile is Adobe RGB, as cameras write it."""
    if image.info.get("icc_profile"):
        return False
    with suppress(Exception):  # of damaged EXIF, `_orientation` tells
        return bool(image.getexif().get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex) == "R03")
    return False


def _opaque(image: Image.Image, notes: list[str], *, described: bool) -> Image.Image:
    """RGB of a picture, laid on the background where it is transparent; sRGB, unless numbers describe its own."""
    rgb = plain_rgb(image) if described else to_srgb(image, notes)
    if not image.has_transparency_data:
        return rgb
    alpha = image.convert("RGBA").getchannel("A")
    if alpha.getextrema()[0] == 255:
        return rgb
    notes.append(f"It is transparent in places, which is not coded: it was laid on {BACKGROUND}.")
    laid = Image.new("RGB", rgb.size, BACKGROUND)
    laid.paste(rgb, mask=alpha)
    return laid


def said_in_numbers(path: Path, image: Image.Image, notes: list[str]) -> Colour | None:
    """What the file says of its colours in numbers; None where it says nothing, or a profile goes before them."""
    if is_heif(path):
        bits, colour = look_at_avif(path)
        if bits > 8:
            notes.append(f"It has {bits} bits a sample, of which the upper 8 are coded.")
        return None if image.info.get("icc_profile") else colour
    colour = said_by_png(path)
    if colour is None and gamma_differs(image.info):
        notes.append("Its chunks gAMA and cHRM say other colours than sRGB, and are not looked at.")
    return colour
