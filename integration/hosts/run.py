"""A host of libaom, such as ffmpeg or avifenc, run with pruners and pipelines inside its encoder."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from integration.codec import native
from integration.codec.libaom_build import Libraries, libraries
from integration.pruning.bundle import PrunerBundle
from integration.pruning.config import check_price
from integration.pruning.hook_file import decimal
from toolkit.errors import ToolkitError
from toolkit.sealed import kind_of

if TYPE_CHECKING:
    from integration.pipeline.pipeline import Pipeline


@dataclass(frozen=True)
class HostRun:
    """What a host did: its exit `status`, and sums over all its encoders.

    `key_frames` and `inter_frames` were seen by encoders with something for frames of that kind: `pruned_frames` had a
    pruner, `masked_frames` masks, which took something away from the search of `masked_nodes` nodes. Of `asked`
    decisions `skipped` skipped a part of the search.
    """

    status: int
    key_frames: int
    inter_frames: int
    pruned_frames: int
    masked_frames: int
    masked_nodes: int
    asked: int
    skipped: int


def load_model(folder: Path) -> "PrunerBundle | Pipeline":
    """Open a pruner or a pipeline and verify every byte.

    Raises ToolkitError where it is neither, and on a pipeline that C cannot use.
    """
    if kind_of(folder) != "av1part-pipeline":
        return PrunerBundle.load(folder)
    from integration.pipeline import hook_file
    from integration.pipeline.pipeline import Pipeline

    pipeline = Pipeline.load(folder, threads=1)
    if not (folder / hook_file.NAME).is_file():
        raise ToolkitError(
            f"{folder}: has no {hook_file.NAME}, so only Python can use it. Pipelines get one where they are built for "
            "the provider cpu, from labels of libaom at 8 or 10 bit. Build it again with `av1part pipeline build`, or "
            "encode with `av1part encode --pipeline`."
        )
    return pipeline


def environment(
    models: "Sequence[PrunerBundle | Pipeline]", price: float | None, stats: Path, built: Libraries
) -> dict[str, str]:
    """Variables that make a host load our libaom.so.3 and the library load these models.

    Raises ToolkitError where one is for another libaom or table of features, where its folder's path has a colon, which
    separates folders, or where the price is none that the library can read.
    """
    hook = native.load(built.hook)
    for model in models:
        if ":" in str(model.path.resolve()):
            raise ToolkitError(f"{model.path}: a colon separates pruners. Copy it to a path without one.")
        pruner = model if isinstance(model, PrunerBundle) else model.pruner
        if pruner:
            pruner.check_library(hook)
            check_price(pruner.price if price is None else price, pruner.most)
        if not isinstance(model, PrunerBundle) and model.encoder["version"] != (version := native.libaom_version(hook)):
            made_for = model.encoder["version"]
            raise ToolkitError(f"{model.path}: made for libaom {made_for}, this is {version}. Label and train with it.")
    given = {name: value for name, value in os.environ.items() if name != "AV1PART_PRICE"}
    own = {"AV1PART_PIPELINE": ":".join(str(m.path.resolve()) for m in models), "AV1PART_STATS": str(stats)}
    if price is not None:
        own["AV1PART_PRICE"] = decimal(price)
    masked = any(not isinstance(model, PrunerBundle) for model in models)
    if masked and "AV1PART_ONNXRUNTIME" not in given and (runtime := onnx_runtime()):
        own["AV1PART_ONNXRUNTIME"] = str(runtime)
    before = given.get("LD_LIBRARY_PATH")
    return given | own | {"LD_LIBRARY_PATH": f"{built.aom.parent}:{before}" if before else str(built.aom.parent)}


def onnx_runtime() -> Path | None:
    """ONNX Runtime's C library of the Python package that is installed, None where there is none."""
    package = find_spec("onnxruntime")
    if package is None or package.origin is None:
        return None
    return next(iter(sorted((Path(package.origin).parent / "capi").glob("libonnxruntime.so*"))), None)


def run_host(
    command: Sequence[str],
    models: "Sequence[PrunerBundle | Pipeline]",
    price: float | None = None,
    stats: Path | None = None,
) -> HostRun:
    """Run a command with pruners and pipelines inside its libaom and count what they did.

    It has this process's streams.

    `stats`: file to which each of its encoders appends a line of JSON; None keeps none. Raises ToolkitError where the
    command is not found, and as `environment` does.
    """
    if shutil.which(command[0]) is None:
        raise ToolkitError(f"{command[0]}: no such command. Install it, or give its path.")
    with tempfile.TemporaryDirectory() as folder:
        lines = stats.resolve() if stats else Path(folder) / "stats"
        variables = environment(models, price, lines, libraries())
        with lines.open("ab") as file:  # refused before the command runs, where it cannot be written
            known = file.tell()
        status = _wait(command, variables)
        text = lines.read_bytes()[known:].decode()
    found = [json.loads(line) for line in text.splitlines() if line.endswith("}}")]  # a full disk cuts a line short
    counts = ("key_frames", "inter_frames", "pruned_frames", "masked_frames", "masked_nodes")
    decisions = [own for encoder in found for own in encoder["decisions"].values()]
    return HostRun(
        status if status >= 0 else 128 - status,
        *(sum(encoder.get(key, 0) for encoder in found) for key in counts),
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
