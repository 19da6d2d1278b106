"""Reports on how far long work has come, to whoever listens: a command that shows a bar; by default nobody."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
Listener = Callable[[str, int, int], None]
"""Called with the name of the work, the number of finished steps, and the number of all steps."""
_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


def track(steps: Sequence[T], what: str) -> Iterator[T]:
    """Yield the steps of the work called `what`, and report after each one."""
    listener = _LISTENER.get()
    for done, step in enumerate(steps):
        if listener is not None:
            listener(what, done, len(steps))
        yield step
    if listener is not None:
        listener(what, len(steps), len(steps))


def is_heard() -> bool:
    """Whether anyone listens in this process."""
    return _LISTENER.get() is not None


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Context in which the listener hears the reports."""
    before = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(before)
