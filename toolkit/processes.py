"""Processes that end with the one that started them, however that one ends."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

PARENT = "AV1PART_PARENT"
"""Environment variable with the process id of the av1part that started this one and that it must not outlive."""
_PASSED_ON = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2})
"""Signals that are for a command that this process runs in its own place."""
_HELD = _PASSED_ON | {signal.SIGCHLD}
_SI_KERNEL = 0x80
"""`si_code` of a signal that nobody sent: of those above, the terminal's."""
_PR_SET_PDEATHSIG = 1
_GRACE = 2.0
"""Seconds that a worker has for removing its unfinished files before it is killed."""
_apart, _APART = 0.0, threading.Lock()
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


def charge_apart(seconds: float) -> None:
    """Add CPU seconds that another process has spent on an answer to this one, whose own clocks do not see them."""
    global _apart
    with _APART:
        _apart += seconds


def spent_apart() -> float:
    """CPU seconds of `charge_apart` so far: what whoever measures the cost of an answer adds to its own clock."""
    return _apart


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


@contextmanager
def signals_held() -> Iterator[None]:
    """Context in which the signals that `attend` passes on wait for it; what nobody took by its end is dropped.

    A thread that is started inside holds them too. One that was started before may take a signal away from `attend`:
    so this comes before the import of libraries that start threads.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        yield
    finally:
        while signal.sigtimedwait(_HELD - before, 0):
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def attend(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command in this process's place and return its return code: below 0, less the signal that ended it.

    It has this process's streams and ends as it likes to. Signals to this process are passed on to it, but for those of
    a terminal, which sends them to both. It is sent a SIGTERM where this process is killed. Raises OSError where the
    command cannot be started, KeyboardInterrupt where a signal came before it was.
    """
    with signals_held():
        if signal.sigpending() & _PASSED_ON:
            raise KeyboardInterrupt
        process = subprocess.Popen(command, env=environment, preexec_fn=partial(_begin_attended, os.getpid()))
        main = threading.get_ident()

        def end() -> None:
            process.wait()
            signal.pthread_kill(main, signal.SIGCHLD)

        threading.Thread(target=end, daemon=True).start()
        while process.returncode is None:
            found = signal.sigwaitinfo(_HELD)
            if found.si_signo in _PASSED_ON and found.si_code != _SI_KERNEL:
                process.send_signal(found.si_signo)
        return process.returncode


def _begin_attended(parent: int) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
    end_with_parent(parent, signal.SIGTERM)


def _begin_worker(parent: int) -> None:
    """Make a pool's process end with its parent; it leaves Ctrl-C to the parent, and unwinds quietly on SIGTERM."""
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))


@contextmanager
def worker_pool(count: int) -> "Iterator[ProcessPoolExecutor]":
    """Yield a pool of fresh interpreters that end with this process, whatever ends it.

    An error lets the running calls finish; an interrupt does not wait for them.
    """
    # Not at the top: this module is a part of every start of the command line.
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

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
        for worker in workers:
            worker.join()  # what it had open is closed then
        raise
    finally:
        pool.shutdown(cancel_futures=True)
