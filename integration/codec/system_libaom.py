"""The libaom that the system has, whose place ours takes in a host."""

import ctypes


def system_libaom() -> str | None:
    """Version of the libaom.so.3 that the loader finds for this process, such as 3.6.0; None where it finds none.

    `av1part run` puts ours in its place.
    """
    try:
        ask = ctypes.CDLL("libaom.so.3").aom_codec_version_str
    except (OSError, AttributeError):
        return None
    ask.restype = ctypes.c_char_p
    return (ask() or b"?").decode(errors="replace").removeprefix("v")
