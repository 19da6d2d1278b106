"""Short texts that C reads beside a sealed folder, with a checksum as their last line (libaom/file.h)."""

import zlib
from collections.abc import Iterable


def checked_text(lines: Iterable[str]) -> bytes:
    """The lines, and a last one that says what they are: `check`, the CRC-32 of all of them in hexadecimal digits."""
    text = "".join(f"{line}\n" for line in lines).encode()
    return text + f"check {crc32(text)}\n".encode()


def crc32(data: bytes) -> str:
    """zlib's CRC-32 of the bytes, in eight hexadecimal digits."""
    return f"{zlib.crc32(data):08x}"
