"""Pictures as AVIF takes them: chroma and bit depth as asked for or as the file has them, nothing that is lost unasked.

The colours stay those of the file, in full range, described by its profile or in numbers. A JPEG's planes are coded as
they are; all else is converted from RGB by BT.601. Opacity, profile, EXIF and XMP are carried along (`Still`).
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.video.plane import VideoPlane
from numpy.typing import NDArray
from PIL import Image

from integration.media.clip import Clip, warn_once
from integration.media.colour import BY_PROFILE, FULL_SRGB, Samples, rgb_to_planes, to_depth
from integration.media.config import StillConfig
from integration.media.photographs import Opened, is_photograph, note_depth, open_picture, reading, said_in_numbers
from integration.media.planes import Planes, fit
from integration.media.profiles import plain_rgb, to_srgb
from integration.media.still import OPAQUE, Still, metadata_of, profile_of
from toolkit.data.blockset import Luma
from toolkit.errors import ToolkitError

LARGEST = 16384
"""Longest side of a picture in pixels."""
DEEP = 10
"""Bit depth at which pictures of more than 8 bits a sample are coded: AVIF's profiles have no more."""
_DEEP_CODECS = {"PNG": "png", "TIFF": "tiff"}
_CHANNELS = {"gray16": 1, "ya16": 2, "rgb48": 3, "rgba64": 4}
"""FFmpeg's names of formats of 16 bits a sample, without the order of bytes."""
_JPEG_PLANES = {"yuvj420p": 420, "yuvj422p": 422, "yuvj444p": 444, "gray": 400}
_GREY = {"1", "L", "LA", "La", "I;16"}
_OTHER_SPACES = {"CMYK", "LAB", "HSV", "YCbCr"}
"""Pillow's modes of pictures that are neither RGB nor grey."""


def open_still(path: Path, config: StillConfig) -> Clip:
    """Open a picture for AVIF, or a clip of which one frame is taken.

    Raises ToolkitError where it cannot be read, a clip has more frames, or its chroma or depth is to be another.
    """
    if not is_photograph(path):
        return _frame_of_clip(path, config)
    notes: list[str] = []
    with reading(path, notes):
        opened = open_picture(path, notes)
        clip = _taken_over(path, opened, config, notes)
        exif, xmp = metadata_of(opened.image.info, notes) if config.metadata else (b"", b"")
    if notes:
        warn_once(f"{path}: {' '.join(notes)}")
    return replace(clip, still=replace(clip.still or OPAQUE, exif=exif, xmp=xmp))


def _frame_of_clip(path: Path, config: StillConfig) -> Clip:
    clip = config.open(path)
    if clip.count != 1:
        raise ToolkitError(f"{path}: a clip, and .avif holds one picture. --frames 1 takes its first frame.")
    if config.depth not in (None, clip.bit_depth):
        raise ToolkitError(f"{path}: a clip's samples are coded as they are. Leave --depth out.")
    return replace(clip, still=OPAQUE)


def _taken_over(path: Path, opened: Opened, config: StillConfig, notes: list[str]) -> Clip:
    """The picture as it is coded, with its opacity and profile."""
    image, target = opened.image, fit(*opened.image.size, config.size)
    if max(target) > LARGEST:
        size = "{}x{}".format(*target)
        raise ToolkitError(f"{size} pixels; at most {LARGEST} a side are coded. Shrink it with --size, or cut it.")
    bit_depth = config.depth or (DEEP if opened.bits > 8 and opened.kind in _DEEP_CODECS else 8)
    deep = _deep_samples(path, opened) if bit_depth > 8 and opened.bits > 8 else None
    grey = image.mode in _GREY if deep is None else deep.shape[2] < 3
    own = 400 if grey else opened.chroma or 444
    chroma = own if config.own_chroma else config.chroma
    icc = profile_of(image, b"GRAY" if grey else b"RGB ", notes) if grey == (chroma == 400) else b""
    numbers = None if icc else said_in_numbers(path, image, notes)
    colour = BY_PROFILE if icc else replace(numbers, full_range=True) if numbers else FULL_SRGB
    plain = image.mode not in _OTHER_SPACES and bool(icc or numbers or not image.info.get("icc_profile"))

    def clip(planes: Planes, alpha: Luma | None = None) -> Clip:
        height, width = planes[0].shape
        frames, still = lambda: iter([planes]), Still(alpha, icc)
        return Clip(path, width, height, bit_depth, Fraction(30), frames, 1, colour, chroma=chroma, still=still)

    own_size = target == image.size
    if plain and own_size and bit_depth == 8 and (planes := _jpeg_planes(path, opened, chroma)):
        return clip(planes)
    if plain and deep is not None:
        given = deep if own_size else _shrunk(deep, target)
    else:
        note_depth(opened, notes)
        colours = to_srgb(image, notes) if not plain else image.convert("L") if grey else plain_rgb(image)
        given = _with_alpha(image, colours, target)
    samples, alpha = _parted(given)
    return clip(_planes(samples, chroma, bit_depth), None if alpha is None else to_depth(alpha, bit_depth))


def _planes(samples: Samples, chroma: int, bit_depth: int) -> Planes:
    """Planes in full range of samples (H, W, channels), grey or RGB."""
    if chroma == 400 and samples.shape[2] == 1:
        return (to_depth(samples[..., 0], bit_depth),)
    rgb: Any = np.repeat(samples, 3, 2) if samples.shape[2] == 1 else samples
    return rgb_to_planes(rgb, chroma, bit_depth=bit_depth, full_range=True)


def _with_alpha(image: Image.Image, colours: Image.Image, target: tuple[int, int]) -> Samples:
    """Samples (H, W, channels) of a picture in other colours, opacity last where it has any, shrunk to a size."""
    if image.has_transparency_data:
        colours = colours.copy()
        colours.putalpha(image.convert("RGBA").getchannel("A"))
    if target != colours.size:  # Pillow weights colours by their opacity
        colours = colours.resize(target, Image.Resampling.LANCZOS)
    return np.atleast_3d(np.asarray(colours))


def _parted(samples: Samples) -> tuple[Samples, Luma | None]:
    """Colours (H, W, 1 or 3) and opacity (H, W) of samples; None for the latter where nothing is transparent."""
    if samples.shape[2] in (1, 3):
        return samples, None
    alpha = samples[..., -1]
    return samples[..., :-1], None if alpha.min() == np.iinfo(alpha.dtype).max else alpha


def _jpeg_planes(path: Path, opened: Opened, chroma: int) -> Planes | None:
    """Planes of a JPEG as they are coded, turned upright; None where they cannot be taken as they are.

    Its chroma has to be of the format asked for, and to fall on the same pixels when it is turned.
    """
    frame = _decoded("mjpeg", path) if opened.kind in ("JPEG", "MPO") else None
    own = _JPEG_PLANES.get(frame.format.name) if frame else None
    if frame is None or own is None or chroma not in (own, 400):
        return None
    odd = frame.width % 2 or frame.height % 2
    if opened.orientation != 1 and (chroma == 422 or (chroma == 420 and odd)):
        return None
    planes = tuple(
        _turned(_samples(plane, np.dtype(np.uint8), 1)[..., 0], opened.orientation) for plane in frame.planes
    )
    return planes[:1] if chroma == 400 else planes


def _deep_samples(path: Path, opened: Opened) -> Samples | None:
    """Samples (H, W, channels) of 16 bits, turned upright; None where FFmpeg does not give them as such."""
    frame = _decoded(_DEEP_CODECS[opened.kind], path) if opened.kind in _DEEP_CODECS else None
    if frame is None or frame.format.name[:-2] not in _CHANNELS:
        return None
    order = ">u2" if frame.format.is_big_endian else "<u2"
    samples = _samples(frame.planes[0], np.dtype(order), _CHANNELS[frame.format.name[:-2]])
    return _turned(samples, opened.orientation).astype(np.uint16)


def _decoded(codec: str, path: Path) -> av.VideoFrame | None:
    """The first frame of a file that is a packet of a codec; None where FFmpeg does not decode it."""
    decoder = cast(av.VideoCodecContext, av.CodecContext.create(codec, "r"))
    decoder.thread_count = 1
    try:
        frames = [*decoder.decode(av.Packet(path.read_bytes())), *decoder.decode(None)]
    except av.error.FFmpegError:
        return None
    return frames[0] if frames else None


def _samples(plane: VideoPlane, kind: np.dtype[Any], channels: int) -> NDArray[Any]:
    """Samples (H, W, channels) of a plane of FFmpeg's, without what lies behind its rows."""
    rows: NDArray[Any] = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)
    return rows[:, : plane.width * channels].reshape(plane.height, plane.width, channels)


def _turned(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Samples (H, W, ...) turned upright by an EXIF orientation."""
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return np.ascontiguousarray(samples)


def _shrunk(samples: Samples, target: tuple[int, int]) -> Samples:
    """Samples of 16 bits (H, W, channels) shrunk to a size with Lanczos."""
    shrunk = [
        np.asarray(Image.fromarray(channel.astype(np.float32)).resize(target, Image.Resampling.LANCZOS))
        for channel in np.moveaxis(samples, 2, 0)
    ]
    rounded: Samples = np.clip(np.rint(np.stack(shrunk, 2)), 0, 65535).astype(np.uint16)
    return rounded
