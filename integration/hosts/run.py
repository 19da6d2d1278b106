"""A host of libaom, such as ffmpeg or avifenc, run with pruners inside its encoder."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from integration.codec import native
from integration.codec.libaom_build import Libraries, libraries
from integration.pruning.bundle import PrunerBundle
from integration.pruning.config import check_price
from integration.pruning.hook_file import decimal
from toolkit.errors import ToolkitError


@dataclass(frozen=True)
class HostRun:
    """What a host did: its exit `status`, and of all its encoders the frames, those pruned, and the decisions.

    An encoder counts the frames of its pruner's kind: key frames or inter frames.
    """

    status: int
    key_frames: int
    inter_frames: int
    pruned_frames: int
    asked: int
    skipped: int


def environment(pruners: Sequence[PrunerBundle], price: float | None, stats: Path, built: Libraries) -> dict[str, str]:
    """Variables that make a host load our libaom.so.3 and the library load these pruners.

    Raises ToolkitError where a pruner is for another libaom or table of features, where its folder's path has a colon,
    which separates folders, or where the price is none that the library can read.
    """
    hook = native.load(built.hook)
    for pruner in pruners:
        pruner.check_library(hook)
        if ":" in str(pruner.path.resolve()):
            raise ToolkitError(f"{pruner.path}: a colon separates pruners. Copy it to a path without one.")
        check_price(pruner.price if price is None else price, pruner.most)
    given = {name: value for name, value in os.environ.items() if name != "AV1PART_PRICE"}
    own = {"AV1PART_PIPELINE": ":".join(str(p.path.resolve()) for p in pruners), "AV1PART_STATS": str(stats)}
    if price is not None:
        own["AV1PART_PRICE"] = decimal(price)
    before = given.get("LD_LIBRARY_PATH")
    return given | own | {"LD_LIBRARY_PATH": f"{built.aom.parent}:{before}" if before else str(built.aom.parent)}


def run_host(
    command: Sequence[str], pruners: Sequence[PrunerBundle], price: float | None = None, stats: Path | None = None
) -> HostRun:
    """Run a command with pruners inside its libaom and count what they did; it has this process's streams.

    `stats`: file to which each of its encoders appends a line of JSON; None keeps none. Raises ToolkitError where the
    command is not found, and as `environment` does.
    """
    if shutil.which(command[0]) is None:
        raise ToolkitError(f"{command[0]}: no such command. Install it, or give its path.")
    with tempfile.TemporaryDirectory() as folder:
        lines = stats.resolve() if stats else Path(folder) / "stats"
        variables = environment(pruners, price, lines, libraries())
        with lines.open("ab") as file:  # refused before the command runs, where it cannot be written
            known = file.tell()
        status = _wait(command, variables)
        text = lines.read_bytes()[known:].decode()
    found = [json.loads(line) for line in text.splitlines() if line.endswith("}}")]  # a full disk cuts a line short
    decisions = [own for encoder in found for own in encoder["decisions"].values()]
    return HostRun(
        status if status >= 0 else 128 - status,
        *(sum(encoder.get(key, 0) for encoder in found) for key in ("key_frames", "inter_frames", "pruned_frames")),
        *(sum(own[key] for own in decisions) for key in ("asked", "skipped")),
    )


def _wait(command: Sequence[str], variables: dict[str, str]) -> int:
    """Return code of a command, which ends as it likes to.

    A terminal sends an interrupt to it as well as to us: ffmpeg then finishes its file. A SIGTERM to us is passed on.
    Raises ToolkitError where the file is no program.
    """
    kept = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = subprocess.Popen(command, env=variables, preexec_fn=lambda: signal.signal(signal.SIGINT, kept))
        ended = signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
        try:
            return process.wait()
        finally:
            signal.signal(signal.SIGTERM, ended)
    except OSError as error:
        raise ToolkitError(f"{command[0]}: cannot be run ({error.strerror}).") from None
    finally:
        signal.signal(signal.SIGINT, kept)
