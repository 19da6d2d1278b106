"""When each frame of a clip is shown."""

from fractions import Fraction
from typing import Generic, TypeVar

Frame = TypeVar("Frame")


class FrameTimes:
    """Start and end of every frame in seconds from the first one's start, known as far as the frames have been read.

    Until a time is noted, frames follow each other at `rate`. `tick` is the unit of the file's own time stamps: a time
    so close to a multiple of the frame's length is that multiple, rounded.
    """

    def __init__(self, rate: Fraction, tick: Fraction = Fraction(0)) -> None:
        self.rate, self.tick = rate, tick
        self._close = min(tick, 1 / rate / 4)
        self._spans: list[tuple[Fraction, Fraction]] = []

    def note(self, number: int, start: Fraction, end: Fraction) -> None:
        """Note when a frame is shown; a frame that is read again has the time of its first reading."""
        if number == len(self._spans):
            self._spans.append((self._exact(start), self._exact(end)))

    def span(self, number: int) -> tuple[Fraction, Fraction]:
        """Start and end of a frame."""
        return self._spans[number] if number < len(self._spans) else (number / self.rate, (number + 1) / self.rate)

    def are_even(self, count: int) -> bool:
        """Whether the first `count` frames follow each other at `rate`."""
        return all(start * self.rate == number for number, (start, _) in enumerate(self._spans[:count]))

    def _exact(self, time: Fraction) -> Fraction:
        grid = round(time * self.rate) / self.rate
        return grid if abs(grid - time) <= self._close else time


class Timeline(Generic[Frame]):
    """Notes when frames are shown, of which each is given back when the next one's start says where it ends.

    With `repeating`, a gap between two frames holds frames that are not there: the one before is given back again.
    `count` is the number of frames that there should be, 0 where it is unknown.
    """

    def __init__(self, times: FrameTimes, repeating: bool = False, count: int = 0) -> None:
        self._times, self._repeating, self._count = times, repeating, count
        self._number = 0
        self._origin = Fraction(0)
        self._held: tuple[Frame, Fraction, Fraction] | None = None

    def add(self, frame: Frame, start: Fraction | None, lasts: Fraction) -> list[Frame]:
        """Take the next frame and return the one before; `start` None, or not after it: where that one ends."""
        given: list[Frame] = []
        if self._held is None:
            self._origin = begins = Fraction(0) if start is None else start
        else:
            _, before, ends = self._held
            begins = ends if start is None or start <= before else start
            given = self._give(begins)
        self._held = frame, begins, begins + lasts
        return given

    def finish(self, end: Fraction | None = None, *, fill: bool = False) -> list[Frame]:
        """Return the last frame, which lasts up to `end` if that is known; with `fill` as often as frames are missing.

        Nothing is returned where no frame was added, or a second time.
        """
        if self._held is None:
            return []
        _, start, ends = self._held
        missing = max(0, self._count - self._number - 1) if fill and self._repeating else 0
        given = self._give(end if end is not None and end > start else ends + missing / self._times.rate)
        self._held = None
        return given

    def _give(self, ends: Fraction) -> list[Frame]:
        assert self._held is not None
        frame, start, _ = self._held
        often = 1
        if self._repeating:
            often = max(1, min(round((ends - start) * self._times.rate), self._count - self._number))
        for place in range(often):
            last = place == often - 1
            begins = start + place / self._times.rate
            until = ends if last else begins + 1 / self._times.rate
            self._times.note(self._number, begins - self._origin, until - self._origin)
            self._number += 1
        return [frame] * often
