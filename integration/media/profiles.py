"""Colour profiles (ICC): a picture's colours converted to sRGB."""

from io import BytesIO

from PIL import Image, ImageCms

_GREY = {"1", "L", "LA", "La"}
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Pillow's mode of the pictures that a profile of a colour space is for."""


def to_srgb(image: Image.Image, notes: list[str]) -> Image.Image:
    """Convert a picture of any mode to sRGB, by its profile if it has one (relative colorimetric); alpha is dropped.

    Where the profile cannot be used, or CMYK has none, a note says so.
    """
    grey, ink = image.mode in _GREY, image.mode == "CMYK"
    colours = image if ink else image.convert("L") if grey else plain_rgb(image)
    if "icc_profile" not in image.info or image.mode == "LAB":  # Pillow itself converts LAB
        if ink:
            notes.append("It is CMYK without a profile: its colours are a guess.")
        return plain_rgb(colours)
    try:
        return _converted(colours, image.info["icc_profile"] or b"")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        notes.append(f"Its colour profile cannot be used ({error}): its colours are a guess.")
        return plain_rgb(colours)


def plain_rgb(image: Image.Image) -> Image.Image:
    """RGB of a picture of any mode, without a look at its profile; alpha is dropped."""
    return (image.convert("RGBA") if image.has_transparency_data else image).convert("RGB")


def _converted(colours: Image.Image, data: bytes) -> Image.Image:
    profile = ImageCms.ImageCmsProfile(BytesIO(data))
    space = profile.profile.xcolor_space.strip()
    if space == "RGB":
        colours = colours.convert("RGB") if colours.mode == "L" else colours
    if _MODES.get(space) != colours.mode:
        raise ValueError(f"it is for {space}, the picture is {colours.mode}")
    converted = ImageCms.profileToProfile(
        colours,
        profile,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None  # it is, unless converted in place
    return converted
