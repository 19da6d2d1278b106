"""Short texts that C reads beside a sealed folder, with a checksum as their last line (libaom/file.h)."""

import zlib
from collections.abc import Iterable

from toolkit.errors import ToolkitError


def checked_text(lines: Iterable[str]) -> bytes:
    """The lines, and a last one that says what they are: `check`, the CRC-32 of all of them in hexadecimal digits.

    Raises ToolkitError on a line with a line end or another character that is not printed.
    """
    lines = list(lines)
    if odd := [line for line in lines if not line.isprintable()]:  # a line end would add a line of one's own
        raise ToolkitError(f"{odd[0]!r:.80}: C reads this as a line of its own, and it has a character that none has.")
    text = "".join(f"{line}\n" for line in lines).encode()
    return text + f"check {crc32(text)}\n".encode()


def crc32(data: bytes) -> str:
    """zlib's CRC-32 of the bytes, in eight hexadecimal digits."""
    return f"{zlib.crc32(data):08x}"
