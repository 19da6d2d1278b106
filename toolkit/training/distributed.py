"""Start the processes of a run; the first one writes the files and reports the failures for all of them."""

import os
from collections.abc import Callable
from typing import NoReturn

import torch
from lightning_fabric import Fabric

from toolkit.errors import ToolkitError
from toolkit.processes import PARENT, child_environment
from toolkit.training.config import TrainConfig


def start_fabric(config: TrainConfig) -> Fabric:
    """Start Fabric, and with several devices the other processes. ToolkitError where the machine lacks a device."""
    try:
        fabric = Fabric(accelerator=config.device, devices=config.devices, precision=config.precision)  # type: ignore[arg-type]
    except Exception as error:  # Fabric raises RuntimeError, ValueError, TypeError and exceptions of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ToolkitError(
            f"--device {config.device} --devices {config.devices} --precision {config.precision} was asked for and "
            f"this machine cannot do it: {reason}. `av1part doctor` says what a GPU lacks; or use --device cpu."
        ) from None
    os.environ.update(child_environment())  # Fabric starts the others with this process's environment
    try:
        fabric.launch()
    finally:
        os.environ.pop(PARENT, None)
    return fabric


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
    The process group is taken down first: a process that exits while another still talks to it may be aborted.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    raise failure or SystemExit(0)
