"""What one of several training processes does for all of them."""

from collections.abc import Callable

from lightning_fabric import Fabric

from toolkit.errors import ToolkitError


def by_the_first(fabric: Fabric, action: Callable[[], None]) -> None:
    """Let the first process do something, above all write files, while the others wait.

    Where it fails with a ToolkitError all stop: the first process says why, the others end in silence. Without that
    they would wait for it in vain, and then show a traceback of their own.
    """
    failure: ToolkitError | None = None
    if fabric.is_global_zero:
        try:
            action()
        except ToolkitError as error:
            failure = error
    if fabric.broadcast(failure is not None):
        raise failure or SystemExit(0)
