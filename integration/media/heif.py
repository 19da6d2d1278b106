"""Pictures in HEIF files, which are AVIF and HEIC: what neither Pillow nor FFmpeg's frames tell of them."""

import shlex
from pathlib import Path

import av
from av.stream import Disposition

from integration.codec.config import UNSPECIFIED, Colour
from integration.media.colour import BT601
from toolkit.errors import ToolkitError


def look_at_avif(path: Path) -> tuple[int, Colour | None]:
    """Bits a sample of an AVIF file, and what its nclx box says of its RGB; None where it says nothing.

    Of a file that FFmpeg does not read, 8 and None.
    """
    try:
        with _opened(path) as container:
            codec = container.streams.video[0].codec_context
            bits = codec.format.components[0].bits if codec.format else 8
            primaries, transfer = int(codec.color_primaries), int(codec.color_trc)
    except (av.error.FFmpegError, IndexError):
        return 8, None
    known = primaries != UNSPECIFIED or transfer != UNSPECIFIED
    return bits, Colour.of(primaries, transfer, BT601, False) if known else None


def check_whole(path: Path) -> None:
    """Raise ToolkitError where a file's picture is made of tiles, of which FFmpeg gives the first alone.

    AVIF's tiles Pillow puts together; HEIC, as phones write it, it does not read.
    """
    if not is_heif(path):
        return
    try:
        with _opened(path) as container:
            tiles = sum(bool(stream.disposition & Disposition.dependent) for stream in container.streams.video)
    except av.error.FFmpegError:
        return  # whoever reads its frames says so
    if tiles:
        names = f"{shlex.quote(path.name)} {shlex.quote(path.stem + '.png')}"
        raise ToolkitError(
            f"{path}: its picture is made of {tiles} tiles, which are not put together. "
            f"Convert it first: heif-convert {names}"
        )


def is_heif(path: Path) -> bool:
    """Whether a file begins as HEIF pictures do, or MP4 clips, which have the same structure."""
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"


def _opened(path: Path) -> av.container.InputContainer:
    return av.open(f"file:{path}", format="mov", container_options={"protocol_whitelist": "file"})
