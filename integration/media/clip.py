"""A clip that is open: what its frames are, how they are read, and what is said where it breaks off."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

from integration.codec.config import UNDESCRIBED, Colour, FrameFormat
from integration.media.planes import Planes
from integration.media.still import Still
from integration.media.times import FrameTimes
from toolkit.errors import ToolkitError

_log = logging.getLogger("av1part")


@dataclass(frozen=True)
class Clip:
    """An opened source: size, bit depth and rate of its frames, which every call of `frames()` yields from the start.

    `count` is the number of frames that the source announces, None where it announces none. It may be wrong: use it to
    show progress only. `colour` is what a container says of its samples; photographs and raw files say nothing.
    `times` knows when each frame is shown that has been read; without it, frames follow each other at `rate`.
    `notes` say what had to be assumed of what the output says. `chroma` is how it is sampled, one of
    `integration.codec.config.CHROMAS`. `still` has what a picture that is coded for AVIF holds beside its planes.
    """

    path: Path
    width: int
    height: int
    bit_depth: int
    rate: Fraction
    frames: Callable[[], Iterator[Planes]]
    count: int | None = None
    colour: Colour = UNDESCRIBED
    times: FrameTimes | None = None
    notes: tuple[str, ...] = ()
    chroma: int = 420
    still: Still | None = None

    @property
    def form(self) -> FrameFormat:
        """Format of its frames."""
        return FrameFormat(self.width, self.height, self.bit_depth, chroma=self.chroma)

    @property
    def tick(self) -> Fraction:
        """Unit of the file's own time stamps in seconds, 1 where it has none."""
        return self.times.tick if self.times and self.times.tick else Fraction(1)

    def is_even(self, count: int) -> bool:
        """Whether the first `count` frames, which have been read, follow each other at `rate`."""
        return self.times is None or self.times.are_even(count)

    def span(self, number: int) -> tuple[Fraction, Fraction]:
        """Start and end of a frame that has been read, in seconds from the first one's start."""
        return (self.times or FrameTimes(self.rate)).span(number)


def cut_short(path: Path, found: str, frames: int, allowed: bool) -> None:
    """Raise ToolkitError for a clip that is cut short after this many frames; where it may and has some, warn once."""
    if not allowed or not frames:
        advice = f", or pass --allow-truncated to take the frames before ({frames})" if frames else ""
        raise ToolkitError(f"{path}: {found}. Copy it again{advice}.")
    warn_once(f"{path}: {found}. The frames before are taken.")


@cache
def warn_once(text: str) -> None:
    """Log a warning, once in a process."""
    _log.warning("Warning: %s", text)
