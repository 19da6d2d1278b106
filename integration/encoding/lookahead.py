"""Work ahead of the encoder on a thread: frames are decoded, and masked where their qindex can be foreseen."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from queue import SimpleQueue
from threading import Event, Lock, Semaphore, Thread
from types import TracebackType
from typing import Self

import numpy as np

from integration.codec.encoder import Mask, Masks, MaskSource
from integration.media.planes import Planes
from integration.media.video import Clip
from toolkit.data.blockset import Luma
from toolkit.errors import ToolkitError


@dataclass(frozen=True)
class _Frame:
    """A frame that is ready. `mask` was made for `qindex`; it is an exception where making it raised that."""

    planes: Planes
    qindex: int | None = None
    mask: Mask | Masks | Exception | None = None


class Ahead:
    """A clip whose frames are prepared while the encoder works; a context manager, used by one thread.

    `frames()` yields the clip's frames once; at most `depth` of them are held ready. `mask` is the mask source for the
    encoder of these frames. With `masks`, every frame's mask is made ahead too, for the qindex of the frame before it:
    at constant quality all key frames but the first have the same qindex. Such a mask is used only where the encoder
    then shows exactly this luma and qindex. Otherwise it is made again, so that the stream never depends on the
    prediction.

    `reading_seconds` and `mask_seconds` are CPU time of the thread, in which libaom never runs. `used` counts the masks
    that were ready in time.
    """

    def __init__(self, clip: Clip, depth: int, source: MaskSource | None = None, *, masks: bool = True) -> None:
        self.mask_seconds = 0.0
        self.used = 0
        self._clip, self._source, self._foresee = clip, source, masks and source is not None
        self._ready: SimpleQueue[_Frame | Exception | None] = SimpleQueue()
        self._room = Semaphore(depth)
        self._known, self._leave, self._lock = Event(), Event(), Lock()
        self._qindex: int | None = None
        self._current: _Frame | None = None
        self._stopped = False
        self._spent: float | None = None
        self._thread = Thread(target=self._work, name="av1part-ahead", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = True
        for waited_for in (self._known, self._leave):
            waited_for.set()
        self._room.release()
        self._thread.join()

    @property
    def reading_seconds(self) -> float:
        """CPU seconds of the thread without those spent on masks."""
        return self._cpu() - self.mask_seconds

    def clock(self) -> float:
        """CPU seconds of the process without this thread's; the encoder's time is measured by it."""
        return time.process_time() - self._cpu()

    def frames(self) -> Iterator[Planes]:
        """Yield the clip's frames in order. An exception while reading one is raised in its place."""
        while True:
            item = self._ready.get()
            self._room.release()
            if isinstance(item, Exception):
                raise item
            self._current = item
            if item is None:
                return
            yield item.planes
            self._known.set()  # the frame is coded, so its qindex is known by now if it ever will be

    def mask(self, luma: Luma, qindex: int) -> Mask | Masks | None:
        """Mask of the frame being coded, whose luma (H, W) and qindex the encoder shows."""
        frame = self._current
        if frame and frame.qindex == qindex and frame.mask is not None and np.array_equal(luma, frame.planes[0]):
            self.used += 1
            if isinstance(frame.mask, Exception):
                raise frame.mask
            return frame.mask
        if self._source is None:
            raise ToolkitError("No pipeline to ask for a mask.")
        with self._lock:
            mask = self._source(luma, qindex)
        self._qindex = qindex
        self._known.set()
        return mask

    def _cpu(self) -> float:
        if self._spent is not None or self._thread.ident is None:
            return self._spent or 0.0
        return time.clock_gettime(time.pthread_getcpuclockid(self._thread.ident))

    def _work(self) -> None:
        try:
            frames = self._clip.frames()
            for number in count():
                self._room.acquire()
                if number and self._foresee:
                    self._known.wait()
                planes = None if self._stopped else next(frames, None)
                self._ready.put(self._prepared(planes) if planes else None)
                if planes is None:
                    break
        except Exception as error:
            self._ready.put(error)
        self._leave.wait()  # because the CPU clock of a thread must not be read after its end
        self._spent = time.thread_time()

    def _prepared(self, planes: Planes) -> _Frame:
        qindex = self._qindex
        if not self._foresee or qindex is None or self._stopped or self._source is None:
            return _Frame(planes)
        before = time.thread_time()
        mask: Mask | Masks | Exception | None
        try:
            with self._lock:
                mask = self._source(planes[0], qindex)
        except Exception as error:  # raised again when the encoder asks for the mask, and counted there
            mask = error
        self.mask_seconds += time.thread_time() - before
        return _Frame(planes, qindex, mask)
