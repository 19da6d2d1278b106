"""Layouts of headerless files: one for all of them or one a file, the name checked, and rows that are no picture."""

import csv
import io
import re
import shlex
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from integration.media.raw_names import exact_rate, read_name
from toolkit.data.blockset import Luma
from toolkit.errors import ToolkitError
from toolkit.files import read_text

RAW = {".yuv", ".raw", ".i420"}
"""Endings, in lower case, of headerless files."""
DEFAULT_RATE = Fraction(30)
"""Frames a second of a headerless file of which nobody says it."""
_SAMPLES = 1 << 20
"""Number of samples of a frame that are looked at."""


@dataclass(frozen=True)
class RawFormat:
    """Layout of a headerless file: planes y, u, v of each frame in turn, 16-bit little-endian above 8 bit.

    `rate`: frames a second, None where nobody said it.
    """

    width: int
    height: int
    bit_depth: int = 8
    rate: Fraction | None = None

    @classmethod
    def parse(cls, text: str) -> "RawFormat":
        """Parse `WxH[:bitdepth][@fps]`; ToolkitError otherwise."""
        layout, at, fps = text.partition("@")
        size, _, depth = layout.partition(":")
        width, height = parse_size(size)
        if depth not in ("", "8", "10"):
            raise ToolkitError(f"--raw {text}: bit depth {depth!r}, expected 8 or 10, as in 1920x1080:10.")
        rate = exact_rate(fps) if at else None
        if at and rate is None:
            raise ToolkitError(f"--raw {text}: {fps!r} frames a second, expected 1 to 300, as in 1920x1080@25.")
        return cls(width, height, int(depth or 8), rate)


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

    `given` is `WxH[:bitdepth][@fps]`, or the path of a TSV file with lines of file name, tab, layout. Raises
    ToolkitError where it is neither, the table leaves the file out, and where the file's name says another size or bit
    depth, or samples that are no planar 4:2:0. What the table says of a file is taken as it is.
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
        text = io.StringIO(read_text(table), "")
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
    """The layout; ToolkitError where the name says that the file is laid out otherwise."""
    named, size = read_name(path), f"{layout.width}x{layout.height}"
    if named.layout:
        said = f"{path}: its name says {named.layout}, expected planar 4:2:0, as which --raw would read it"
        raise ToolkitError(f"{said}. Convert it first: {conversion(path, layout, named.layout)}; {_insisting(path)}")
    said = ""
    if named.sizes and (layout.width, layout.height) not in named.sizes:
        said = f"its name says {'x'.join(map(str, named.sizes[-1]))}, --raw says {size}"
    elif named.bit_depth not in (None, layout.bit_depth):
        said = f"its name says {named.bit_depth} bit, --raw says {layout.bit_depth}: {size}:{named.bit_depth} is meant"
    if said:
        raise ToolkitError(f"{path}: {said}. Correct one of them; {_insisting(path)}")
    return layout


def _insisting(path: Path) -> str:
    return f"or, to insist, write '{path.name}', a tab and the layout to a file, and pass that file as --raw."


def conversion(path: Path, layout: RawFormat, named: str) -> str:
    """The command that makes a headerless file of other samples, such as "4:4:4", planar 4:2:0 in a container."""
    deep = layout.bit_depth > 8 or (read_name(path).bit_depth or 8) > 8
    ending = "10le" if deep else ""
    planar = "gray" if named == "4:0:0" else f"yuv{named.replace(':', '')}p"
    given = planar + ending if ":" in named else named
    rate = layout.rate or read_name(path).rate or DEFAULT_RATE
    of = ["-f", "rawvideo", "-pixel_format", given, "-video_size", f"{layout.width}x{layout.height}"]
    target = path.with_name(f"{path.stem}-420.mkv")
    coded = ["-c:v", "ffv1", "-pix_fmt", f"yuv420p{ending}", str(target)]
    return shlex.join(["ffmpeg", *of, "-framerate", str(rate), "-i", str(path), *coded])


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
