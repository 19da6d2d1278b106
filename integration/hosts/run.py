"""A host of libaom, such as ffmpeg or avifenc, run with pruners and pipelines inside its encoder."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from integration import zoo
from integration.codec import native
from integration.codec.libaom_build import Libraries, libraries
from integration.codec.masker import onnx_runtime
from integration.hosts.counts import REASONS, STATS, HostRun
from integration.pruning.bundle import PrunerBundle
from integration.pruning.config import check_price
from integration.pruning.hook_file import decimal
from toolkit.errors import ToolkitError
from toolkit.folders import PIPELINE, kind_of
from toolkit.processes import attend

if TYPE_CHECKING:
    from integration.pipeline.pipeline import Pipeline

_log = logging.getLogger("av1part")


def load_model(folder: Path) -> "PrunerBundle | Pipeline":
    """Open a pruner or a pipeline and verify every byte.

    Raises ToolkitError where it is neither, and on a pipeline that C cannot use.
    """
    if kind_of(folder) != PIPELINE:
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


def variables(models: "Sequence[PrunerBundle | Pipeline]", price: float | None, built: Libraries) -> dict[str, str]:
    """Variables that make a host load our libaom.so.3, and that load these models.

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
    own = {"AV1PART_PIPELINE": ":".join(str(m.path.resolve()) for m in models)}
    if price is not None:
        own["AV1PART_PRICE"] = decimal(price)
    masked = any(not isinstance(model, PrunerBundle) for model in models)
    if masked and (runtime := os.environ.get("AV1PART_ONNXRUNTIME") or onnx_runtime()):
        own["AV1PART_ONNXRUNTIME"] = str(runtime)
    ours = str(built.aom.parent)
    before = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder not in ("", ours)]
    return own | {"LD_LIBRARY_PATH": ":".join([ours, *before])}


def models_of(paths: Sequence[Path]) -> "list[PrunerBundle | Pipeline]":
    """Open what `--pipeline` names: folders of pruners and pipelines, names of the zoo; without any, all of the box."""
    return [load_model(zoo.find(path)) for path in paths or map(Path, zoo.names())]


def environment(
    models: "Sequence[PrunerBundle | Pipeline]", price: float | None, folder: Path, built: Libraries
) -> dict[str, str]:
    """This process's environment with `variables`, and with those that let a host say in `folder` what it did."""
    given = {name: value for name, value in os.environ.items() if name != "AV1PART_PRICE"}
    told = {"AV1PART_STATS": str(folder / STATS), "AV1PART_REASONS": str(folder / REASONS)}
    return given | variables(models, price, built) | told


def run_host(
    command: Sequence[str],
    models: "Sequence[PrunerBundle | Pipeline]",
    price: float | None = None,
    stats: Path | None = None,
) -> HostRun:
    """Run a command with pruners and pipelines inside its libaom and count what they did.

    It has this process's streams, and gets its signals.

    `stats`: file to which each of its encoders appends a line of JSON; None keeps none. Raises ToolkitError where that
    cannot be written, the command is not found or cannot be run, and as `environment` does. Once the command runs,
    nothing replaces its status: what cannot be read or written afterwards is unknown, or told in a line of the log.
    """
    if shutil.which(command[0]) is None:
        raise ToolkitError(f"{command[0]}: no such command. Install it, or give its path.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        keep = stack.enter_context(_appending(stats)) if stats else None
        given = environment(models, price, Path(folder), libraries())
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
