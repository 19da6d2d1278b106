"""What the first of several training processes does for all of them: it writes the files and reports the failures."""

from collections.abc import Callable
from typing import NoReturn

from lightning_fabric import Fabric

from toolkit.errors import ToolkitError


def by_the_first(fabric: Fabric, action: Callable[[], None]) -> None:
    """Let the first process do something, above all write files, while the others wait.

    Where it fails with a ToolkitError, all processes stop by `stop_all`: the others would wait for the first in vain.
    """
    failure: ToolkitError | None = None
    if fabric.is_global_zero:
        try:
            action()
        except ToolkitError as error:
            failure = error
    if fabric.broadcast(failure is not None):
        stop_all(failure)


def stop_all(failure: ToolkitError | None) -> NoReturn:
    """End this process, as every other process does now: the first raises its failure, the others exit in silence.

    `failure`: None in all but the first process. One message is enough, and a process without one shows no traceback.
    """
    raise failure or SystemExit(0)
