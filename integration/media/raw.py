"""Layouts of headerless files: one for all of them or one a file, the name checked, and rows that are no picture."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.data.blockset import Luma
from toolkit.errors import ToolkitError

RAW = {".yuv", ".raw", ".i420"}
"""Endings, in lower case, of headerless files."""
_SIZE = re.compile("(?<![0-9])([0-9]{2,5})x([0-9]{2,5})(?![0-9])")
_SAMPLES = 1 << 20
"""Number of samples of a frame that are looked at."""


@dataclass(frozen=True)
class RawFormat:
    """Layout of a headerless file: planes y, u, v of each frame in turn, 16-bit little-endian above 8 bit."""

    width: int
    height: int
    bit_depth: int = 8

    @classmethod
    def parse(cls, text: str) -> "RawFormat":
        """Parse `WxH` or `WxH:bitdepth`; ToolkitError otherwise."""
        size, _, depth = text.partition(":")
        width, height = parse_size(size)
        if depth not in ("", "8", "10"):
            raise ToolkitError(f"--raw {text}: bit depth {depth!r}, expected 8 or 10, as in 1920x1080:10.")
        return cls(width, height, int(depth or 8))


def parse_size(text: str) -> tuple[int, int]:
    """Parse width and height from `WxH`, each 2 to 16384; ToolkitError otherwise."""
    width, _, height = text.partition("x")
    if not (re.fullmatch("[0-9]{1,5}", width) and re.fullmatch("[0-9]{1,5}", height)) or not (
        2 <= int(width) <= 16384 and 2 <= int(height) <= 16384
    ):
        raise ToolkitError(f"Size {text!r}: expected WIDTHxHEIGHT, each 2 to 16384, as in 960x540.")
    return int(width), int(height)


def raw_layout(path: Path, given: str | None) -> RawFormat | None:
    """Layout of a headerless file by the text of --raw; None where none is given, or the file is of another kind.

    `given` is `WxH[:bitdepth]`, or the path of a TSV file with lines of file name, tab, layout. Raises ToolkitError
    where it is neither, the table leaves the file out, and where the file's name says another size than WxH. What the
    table says of a file is taken as it is.
    """
    if given is None:
        return None
    table = Path(given)
    if re.match("[0-9]+x[0-9]", given):
        layout = RawFormat.parse(given)
        return _named_alike(path, layout) if path.suffix.lower() in RAW else None
    if not table.is_file():
        raise ToolkitError(
            f"--raw {given}: neither WxH[:bitdepth], as in 1920x1080:10, nor a TSV file of file names and layouts."
        )
    layouts = _read_table(table)
    if path.suffix.lower() not in RAW:
        return None
    if path.name not in layouts:
        raise ToolkitError(f"{table}: has no line for {path.name}. Add one: its name, a tab, WxH[:bitdepth].")
    return layouts[path.name]


def layout_text(path: Path, given: str | None) -> str | None:
    """The layout that `raw_layout` returns as text, by which kept work is told apart."""
    layout = raw_layout(path, given)
    return None if layout is None else f"{layout.width}x{layout.height}:{layout.bit_depth}"


def _read_table(table: Path) -> dict[str, RawFormat]:
    """Layouts by file name, from a TSV of two columns; empty lines are left out."""
    layouts: dict[str, RawFormat] = {}
    try:
        with table.open(encoding="utf-8", newline="") as text:
            rows = [row for row in csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ToolkitError(f"{table}: not readable as a table of layouts ({error}).") from None
    for row in rows:
        if len(row) != 2:
            found = "\t".join(row)
            raise ToolkitError(f"{table}: the line {found!r:.80}; expected a file's name, a tab, and WxH[:bitdepth].")
        if row[0] in layouts:
            raise ToolkitError(f"{table}: two lines for {row[0]}. Keep one.")
        layouts[row[0]] = RawFormat.parse(row[1])
    return layouts


def _named_alike(path: Path, layout: RawFormat) -> RawFormat:
    """The layout; ToolkitError where the name holds sizes, and this is none of them."""
    sizes = [(int(width), int(height)) for width, height in _SIZE.findall(path.stem)]
    if sizes and (layout.width, layout.height) not in sizes:
        named = "x".join(map(str, sizes[-1]))
        raise ToolkitError(
            f"{path}: its name says {named}, --raw says {layout.width}x{layout.height}. Correct one of them; or, to "
            f"insist, write '{path.name}', a tab and the layout to a file, and pass that file as --raw."
        )
    return layout


def better_period(luma: Luma) -> int | None:
    """Distance in samples at which a frame read row by row repeats better than at its width; None if it does not.

    A row is much like the next, so the squared difference of samples is least at a distance of one row. It may dip
    lower at another distance from a quarter row to four rows, then that is the true row. Two to four whole rows have to
    be three times as alike: in interlaced video every second row is. None also for a frame without structure: flat, or
    nothing but noise.
    """
    width = luma.shape[1]
    rows = min(luma.shape[0], max(8, _SAMPLES // width))
    flat = luma[:rows].astype(np.float64).ravel()
    flat -= flat.mean()
    step, top = max(2, width // 16), min(4 * width + 1, len(flat) // 2)
    unlike = _squared_differences(flat, top + step)
    if top <= width or float(flat.var()) < 1:
        return None
    lag = np.arange(top)
    row_alone = unlike[width] - 0.5  # less than a squared code value may be rounding
    dips = (lag >= max(16, width // 4)) & (np.abs((lag + width // 2) % width - width // 2) > step)
    for side in (-step, step):
        dips &= unlike[np.maximum(lag + side, 0)] > 1.1 * unlike[:top]
    dips &= (1.1 * unlike[:top] < row_alone) & (unlike[:top] < 0.8 * 2 * flat.var())
    whole = lag[2 * width :: width]
    dips[whole] = 3 * unlike[whole] < row_alone
    return int(np.where(dips, unlike[:top], np.inf).argmin()) if dips.any() else None


def _squared_differences(samples: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Mean squared difference of samples at each distance from 0 to `count` - 1, by way of their autocorrelation."""
    spectrum = np.fft.rfft(samples, 2 * len(samples))
    products = np.fft.irfft(spectrum.real**2 + spectrum.imag**2)[:count]
    sums, lag = np.concatenate([[0.0], np.cumsum(samples * samples)]), np.arange(count)
    found: NDArray[np.float64] = (sums[-1 - lag] + sums[-1] - sums[lag] - 2 * products) / (len(samples) - lag)
    return found
