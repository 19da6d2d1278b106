"""Processes that end with the one that started them, however that one ends."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from types import FrameType

PARENT = "AV1PART_PARENT"
"""Environment variable with the process id of the av1part that started this one and that it must not outlive."""
_PR_SET_PDEATHSIG = 1
_GRACE = 2.0
"""Seconds that a worker has for removing its unfinished files before it is killed."""
_prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None


def end_with_parent(parent: int, with_signal: int = signal.SIGKILL) -> None:
    """Let the kernel send this process a signal when its parent ends, killed or not. Does nothing outside Linux.

    `parent`: the parent's process id; where it has ended already, this process ends now.
    """
    if _prctl is None:
        return
    _prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def child_environment() -> dict[str, str]:
    """This process's environment for a child of av1part's own, which then ends with this process."""
    return {**os.environ, PARENT: str(os.getpid())}


def obey_parent() -> None:
    """End with the parent that `child_environment` named, if any: the first act of a child of av1part's own."""
    parent = os.environ.pop(PARENT, None)
    if parent is not None and parent.isdigit():
        end_with_parent(int(parent))


@contextmanager
def terminable() -> Iterator[None]:
    """Context in which SIGTERM cleans up as Ctrl-C does. Does nothing outside the main thread, which gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _begin_worker(parent: int) -> None:
    """Make a pool's process end with its parent; it leaves Ctrl-C to the parent, and unwinds quietly on SIGTERM."""
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))


@contextmanager
def worker_pool(count: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of fresh interpreters that end with this process, whatever ends it.

    An error lets the running calls finish; an interrupt does not wait for them.
    """
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        count, multiprocessing.get_context("spawn"), initializer=_begin_worker, initargs=(os.getpid(),)
    )
    try:
        yield pool
    except Exception:
        raise
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        workers = set(multiprocessing.active_children()) - others
        for worker in workers:
            worker.terminate()
        end = time.monotonic() + _GRACE
        for worker in workers:
            worker.join(max(0.0, end - time.monotonic()))
            worker.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
