"""What `av1part run --pipeline` names: pruners and pipelines opened, and the variables that make a host load them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from integration import zoo
from integration.codec import native
from integration.codec.libaom_build import Libraries
from integration.codec.masker import onnx_runtime
from integration.pruning.bundle import PrunerBundle
from integration.pruning.config import check_price
from integration.pruning.hook_file import decimal
from toolkit.errors import ToolkitError
from toolkit.folders import PIPELINE, kind_of

if TYPE_CHECKING:
    from integration.pipeline.pipeline import Pipeline


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
