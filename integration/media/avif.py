"""What AVIF says of its samples that Pillow, which decodes it, does not tell."""

from pathlib import Path

import av

from integration.codec.config import UNSPECIFIED, Colour
from integration.media.colour import BT601


def look_at_avif(path: Path) -> tuple[int, Colour | None]:
    """Bits a sample of an AVIF file, and what its nclx box says of its RGB; None where it says nothing.

    Of a file that FFmpeg does not read, 8 and None.
    """
    try:
        with av.open(f"file:{path}", format="mov", container_options={"protocol_whitelist": "file"}) as container:
            codec = container.streams.video[0].codec_context
            bits = codec.format.components[0].bits if codec.format else 8
            primaries, transfer = int(codec.color_primaries), int(codec.color_trc)
    except (av.error.FFmpegError, IndexError):
        return 8, None
    known = primaries != UNSPECIFIED or transfer != UNSPECIFIED
    return bits, Colour.of(primaries, transfer, BT601, False) if known else None
