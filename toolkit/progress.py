"""Reports on how far long work has come, to whoever listens: a command that shows a bar; by default nobody."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
Listener = Callable[[str, int, int], None]
"""Called with the name of the work, the number of finished steps, and the number of all steps."""
Hearing = Callable[[], AbstractContextManager[None]]
"""A context in which reports are heard; a function that another process can be sent."""
_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)
_HEARING: ContextVar[Hearing] = ContextVar("hearing", default=nullcontext)


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


def hearing() -> Hearing:
    """Context for a process of its own, in which its reports are heard as those of this one."""
    return _HEARING.get()


@contextmanager
def listen(listener: Listener, elsewhere: Hearing = nullcontext) -> Iterator[None]:
    """Context in which the listener hears the reports; `elsewhere` is the same for a process of its own."""
    before = _LISTENER.set(listener), _HEARING.set(elsewhere)
    try:
        yield
    finally:
        _LISTENER.reset(before[0])
        _HEARING.reset(before[1])
