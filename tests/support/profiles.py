"""Colour profiles (ICC) of the three kinds that photographs have, made by hand."""

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
"""XYZ of Adobe RGB (1998)'s red, green and blue, adapted to D50."""


def rgb_profile(primaries: tuple[tuple[float, ...], ...] = ADOBE_RGB, gamma: float = 563 / 256) -> bytes:
    """A profile of a display, by default Adobe RGB (1998)."""
    tags = {name: _xyz(value) for name, value in zip(("rXYZ", "gXYZ", "bXYZ"), primaries, strict=True)}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags | dict.fromkeys(("rTRC", "gTRC", "bTRC"), _curve(gamma)))


def grey_profile(gamma: float) -> bytes:
    """A profile of grey samples."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {"kTRC": _curve(gamma)})


def cmyk_profile() -> bytes:
    """A profile of inks that turn L* down together: full cyan, magenta, yellow or black alone give L* 75, a and b 0."""
    ramp = bytes(range(256))
    inks = np.indices((2, 2, 2, 2)).reshape(4, -1).sum(0)
    lightness = (255 * (1 - inks / 4)).astype(np.uint8)
    table = np.stack([lightness, np.full(16, 128, np.uint8), np.full(16, 128, np.uint8)], 1)
    matrix = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + table.tobytes() + ramp * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {"A2B0": lut, "A2B1": lut})


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in values))


def _curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[str, bytes]) -> bytes:
    tags = {"wtpt": _xyz(D50), "desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(79)} | tags
    table, bodies, at = b"", b"", 132 + 12 * len(tags)
    for name, body in tags.items():
        table += name.encode() + struct.pack(">II", at + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(bodies), b"test", 0x02400000, kind, space, connection)
    head = (head + bytes(12) + b"acsp").ljust(68, b"\0") + struct.pack(">3i", *(round(v * 65536) for v in D50))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + bodies
