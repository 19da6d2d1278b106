"""A host of libaom, such as ffmpeg or avifenc, run with pruners and pipelines inside its encoder."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from integration.hosts.counts import REASONS, STATS, HostRun
from toolkit.errors import ToolkitError
from toolkit.processes import attend

_log = logging.getLogger("av1part")


def environment(variables: Mapping[str, str], folder: Path) -> dict[str, str]:
    """This process's environment with `variables`, and with those that let a host say in `folder` what it did."""
    given = {name: value for name, value in os.environ.items() if name != "AV1PART_PRICE"}
    told = {"AV1PART_STATS": str(folder / STATS), "AV1PART_REASONS": str(folder / REASONS)}
    return {**given, **variables, **told}


def run_host(command: Sequence[str], variables: Mapping[str, str], stats: Path | None = None) -> HostRun:
    """Run a command with the variables of what decides inside its libaom (`ready`) and count what that did.

    It has this process's streams, and gets its signals.

    `stats`: file to which each of its encoders appends a line of JSON; None keeps none. Raises ToolkitError where that
    cannot be written, or the command is not found or cannot be run. Once the command runs,
    nothing replaces its status: what cannot be read or written afterwards is unknown, or told in a line of the log.
    """
    if shutil.which(command[0]) is None:
        raise ToolkitError(f"{command[0]}: no such command. Install it, or give its path.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        keep = stack.enter_context(_appending(stats)) if stats else None
        given = environment(variables, Path(folder))
        try:
            status = attend(command, given)
        except OSError as error:
            raise ToolkitError(f"{command[0]}: cannot be run ({error.strerror}).") from None
        done = HostRun.read(status if status >= 0 else 128 - status, Path(folder))
        if keep is not None:
            _append(keep, done.lines, stats)
    return done


@contextmanager
def _appending(path: Path) -> Iterator[int]:
    """Descriptor of a file that is open for appending; OSError where it cannot be, as of a pipe that nobody reads."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _append(descriptor: int, lines: Sequence[str], path: Path | None) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()
    try:
        whole = os.write(descriptor, data) == len(data)
    except OSError as error:
        _log.warning("Warning: --stats: %s cannot be written (%s).", path, error.strerror)
        return
    if not whole:
        _log.warning("Warning: --stats: %s: not all could be written.", path)
