"""Work ahead of the encoder: bounded, in order, used only where it fits, and billed apart."""

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from integration.encoding.lookahead import Ahead
from integration.media.planes import Planes
from integration.media.video import Clip
from toolkit.errors import ToolkitError


def planes(number: int) -> Planes:
    return np.full((32, 48), number, np.uint8), np.zeros((16, 24), np.uint8), np.zeros((16, 24), np.uint8)


class CountingClip:
    """Counts the frames that were read; fails at `bad`."""

    def __init__(self, count: int, bad: int | None = None) -> None:
        self.read = 0
        self.count, self.bad = count, bad
        self.clip = Clip(Path("clip"), 48, 32, 8, Fraction(30), self.frames)

    def frames(self) -> Iterator[Planes]:
        for number in range(self.count):
            if number == self.bad:
                raise ToolkitError(f"frame {number} is damaged")
            self.read += 1
            yield planes(number)


def mask_of(luma: np.ndarray, qindex: int) -> np.ndarray:
    return np.full((2, 3), 1 + int(luma[0, 0]), np.uint16)


def settle(ahead: Ahead) -> None:
    """Wait until the thread has done all that it may do for now."""
    deadline, before = time.monotonic() + 5, -1.0
    while ahead.reading_seconds + ahead.mask_seconds != before and time.monotonic() < deadline:
        before = ahead.reading_seconds + ahead.mask_seconds
        time.sleep(0.05)


@pytest.mark.parametrize("depth", [1, 3])
def test_frames_come_in_order_and_no_more_than_the_depth_are_held(depth: int) -> None:
    source = CountingClip(12)
    with Ahead(source.clip, depth) as ahead:
        for number, frame in enumerate(ahead.frames()):
            np.testing.assert_array_equal(frame[0], planes(number)[0])
            settle(ahead)
            assert source.read == min(12, number + 1 + depth)
    assert number == 11


def test_masks_are_ready_from_the_second_frame_on() -> None:
    asked: list[int] = []

    def source(luma: np.ndarray, qindex: int) -> np.ndarray:
        asked.append(int(luma[0, 0]))
        return mask_of(luma, qindex)

    with Ahead(CountingClip(6).clip, 2, source) as ahead:
        for number, frame in enumerate(ahead.frames()):
            mask = ahead.mask(frame[0].copy(), 100)
            assert mask is not None
            np.testing.assert_array_equal(mask, mask_of(frame[0], 100))
            assert number + 1 <= len(asked) <= number + 4
    assert ahead.used == 5
    assert asked == list(range(6)), "each mask is made once"


@pytest.mark.parametrize("what", ["qindex", "luma"])
def test_a_mask_that_does_not_fit_is_made_anew(what: str) -> None:
    seen: list[tuple[int, int]] = []

    def source(luma: np.ndarray, qindex: int) -> np.ndarray:
        seen.append((int(luma[0, 0]), qindex))
        return mask_of(luma, qindex)

    with Ahead(CountingClip(4).clip, 2, source) as ahead:
        for number, frame in enumerate(ahead.frames()):
            luma = frame[0] + np.uint8(50) if what == "luma" else frame[0]
            qindex = 100 + number if what == "qindex" else 100
            mask = ahead.mask(luma, qindex)
            np.testing.assert_array_equal(mask, mask_of(luma, qindex))
            assert (int(luma[0, 0]), qindex) in seen
    assert ahead.used == 0


def test_without_foresight_frames_alone_are_made_ready() -> None:
    with Ahead(CountingClip(4).clip, 2, mask_of, masks=False) as ahead:
        for frame in ahead.frames():
            assert ahead.mask(frame[0], 100) is not None
    assert (ahead.used, ahead.mask_seconds) == (0, 0.0)


def test_frames_that_nobody_asks_a_mask_for_do_not_stop_it() -> None:
    with Ahead(CountingClip(5).clip, 1, mask_of) as ahead:
        assert sum(1 for _ in ahead.frames()) == 5


def test_a_mask_that_fails_ahead_fails_where_it_is_asked_for() -> None:
    def source(luma: np.ndarray, qindex: int) -> np.ndarray:
        if luma[0, 0] == 2:
            raise RuntimeError("session lost")
        return mask_of(luma, qindex)

    failed = []
    with Ahead(CountingClip(5).clip, 2, source) as ahead:
        for number, frame in enumerate(ahead.frames()):
            try:
                ahead.mask(frame[0], 100)
            except RuntimeError:
                failed.append(number)
    assert failed == [2]


def test_a_frame_that_cannot_be_read_is_raised_in_its_place() -> None:
    got = []
    with Ahead(CountingClip(5, bad=3).clip, 4) as ahead, pytest.raises(ToolkitError, match="frame 3"):
        got.extend(int(frame[0][0, 0]) for frame in ahead.frames())
    assert got == [0, 1, 2]


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_leaving_early_ends_the_thread(taken: int) -> None:
    with Ahead(CountingClip(50).clip, 2, mask_of) as ahead:
        frames = ahead.frames()
        for _ in range(taken):
            ahead.mask(next(frames)[0], 100)
    assert not any(thread.name == "av1part-ahead" for thread in threading.enumerate())


def test_the_clock_leaves_the_threads_own_work_out() -> None:
    def busy(luma: np.ndarray, qindex: int) -> np.ndarray:
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass
        return mask_of(luma, qindex)

    with Ahead(CountingClip(4).clip, 4, busy) as ahead:
        frames = ahead.frames()
        ahead.mask(next(frames)[0], 100)  # made here: the thread makes the other three
        whole, ours = time.process_time(), ahead.clock()
        settle(ahead)
        whole, ours = time.process_time() - whole, ahead.clock() - ours
        assert ahead.mask_seconds >= 0.15
        assert whole - ours >= 0.1
        assert ours < 0.1
