"""What the name of a headerless file says of its frames: size, frame rate, bit depth, and how samples are laid out."""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

_SIZE = re.compile("(?<![0-9])([0-9]{2,5})x([0-9]{2,5})(?![0-9])")
_LAYOUT = re.compile("(?<![0-9a-z])(?:yuv|i|p)?(444|422|411|410)(?:p[0-9]*(?:le|be)?)?(?![0-9a-z])")
_OTHER = {
    **{name: name for name in ("nv12", "nv21", "nv16", "yuyv422", "uyvy422", "yvyu422", "p010le")},
    **{"yuyv": "yuyv422", "uyvy": "uyvy422", "yvyu": "yvyu422", "p010": "p010le"},
    **dict.fromkeys(("gray", "mono", "yuv400", "yuv400p"), "4:0:0"),
}
_DEPTH = re.compile("(?<![0-9])([0-9]{1,2})[ _-]?bits?(?![a-z])|4[0-4][0-4]p([0-9]{2})(?:le|be)?(?![0-9a-z])")
_NUMBER = "(2397|2398|2997|5994|11988|[0-9]{1,3}(?:[.][0-9]{1,3})?)"
_WITH_UNIT = re.compile(f"(?<![0-9.]){_NUMBER}[ _-]?(?:fps|hz)(?![a-z])")
_BEHIND_SIZE = re.compile(f"(?:[0-9]x[0-9]+|[0-9]{{3,4}}p)[ _@p-]?{_NUMBER}(?![0-9a-z])")
_USUAL = (10, 12, 12.5, 15, 20, 24, 25, 30, 48, 50, 60, 72, 75, 90, 100, 120, 144, 240)
"""Frame rates that a number without a unit is taken for."""


@dataclass(frozen=True)
class Named:
    """What a name says; None, or no size, where it says nothing.

    `layout` is one other than planar 4:2:0: "4:4:4" and the like are planar, others a format of FFmpeg such as nv12.
    """

    sizes: tuple[tuple[int, int], ...]
    rate: Fraction | None
    bit_depth: int | None
    layout: str | None


def read_name(path: Path) -> Named:
    """Read the name of a headerless file, such as `park_1280x720_50fps_10bit_420.yuv`."""
    stem = path.stem.lower()
    sizes = tuple((int(width), int(height)) for width, height in _SIZE.findall(stem))
    depth = _DEPTH.search(stem)
    return Named(sizes, _rate(stem), int(depth[1] or depth[2]) if depth else None, _layout(stem))


def _layout(stem: str) -> str | None:
    if found := _LAYOUT.search(stem):
        return ":".join(found[1])
    return next((_OTHER[word] for word in re.split("[^0-9a-z]", stem) if word in _OTHER), None)


def _rate(stem: str) -> Fraction | None:
    if found := _WITH_UNIT.search(stem):
        return exact_rate(found[1])
    found = _BEHIND_SIZE.search(stem)
    rate = exact_rate(found[1]) if found else None
    return rate if rate and any(rate in (Fraction(usual), Fraction(usual) * 1000 / 1001) for usual in _USUAL) else None


def exact_rate(text: str) -> Fraction | None:
    """Frames a second from a number such as 25, 29.97, 2997 or 30000/1001; None where it is not from 1 to 300."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
    if rate > 1000 and rate.denominator == 1:
        rate /= 100
    slowed = Fraction(-(-rate.numerator // rate.denominator) * 1000, 1001)
    if rate.denominator > 1 and abs(rate - slowed) < Fraction(1, 100):
        rate = slowed
    return rate if 1 <= rate <= 300 else None
