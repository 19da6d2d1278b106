"""Pipelines of small random networks, for an encoder that exists, with a policy that removes something everywhere."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from export.bundle.write import Chosen, write_bundle
from integration.codec import native
from integration.codec.config import EncoderSettings
from integration.codec.encoder import Encoder
from integration.pipeline.build import build_pipeline
from integration.pipeline.config import BuildConfig
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.policy import Policy, Thresholds, deviation
from integration.pruning.bundle import PrunerBundle
from support.libaom import IN_USE
from support.masks import cut_nodes
from support.sealed import edit_manifest
from toolkit.data.blockset import BlockSet, Luma
from toolkit.files import json_bytes
from toolkit.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet
from toolkit.partition import STAGES

LIBAOM = EncoderSettings(1).recorded(IN_USE)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """The folder of all random stages of this process, removed at its end."""
    return tempfile.TemporaryDirectory()


def random_stage(
    like: Checkpoint, data: BlockSet, stage: str, context: int, encoder: Mapping[str, object] | None = None
) -> Path:
    """A read-only bundle of random weights whose answers differ from node to node; exported once in a process.

    `encoder`: the one that it is said to have learnt from, the data set's own if None.
    """
    own = Path(_folder().name) / f"{data.sha256}-{stage}-{context}"
    if not own.exists():
        _export_stage(own, like, data, stage, context)
    if encoder is None:
        return own
    other = own.with_name(f"{own.name}-{hashlib.sha256(json_bytes(dict(encoder))).hexdigest()}")
    if not other.exists():
        edit_manifest(Path(shutil.copytree(own, other)), lambda manifest: manifest.update(encoder=dict(encoder)))
    return other


def _export_stage(path: Path, like: Checkpoint, data: BlockSet, stage: str, context: int) -> None:
    torch.manual_seed(list(STAGES).index(stage))
    config = ModelConfig(stage, "small", bit_depth=data.bit_depth, node=data.node, context=context)
    model = PartitionNet(config).eval()
    with torch.no_grad():
        last = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)][-1]
        last.weight *= 20
    classes = config.classes
    scores = {"accuracy": 0.5, "macro_f1": 0.5, "per_class": {c: {"f1": 0.5} for c in classes}}
    constant = {**like.baselines["best_constant"], "class": classes[0], "macro_f1": 0.1}
    checkpoint: Checkpoint = replace(
        like,
        model=model,
        metrics=scores,
        baselines={"best_constant": constant},
        encoder=data.manifest["encoder"],
        calibration=data.split_blocks("val", stage, 64, window=config.window),
    )
    save_checkpoint(path.with_suffix(".pt"), checkpoint)
    write_bundle(Chosen(path.with_suffix(".pt"), "a test"), path, allow_weak=True)


def spread_policy(pipeline: Pipeline, luma: Luma, qindex: int) -> Policy:
    """Thresholds up to a qindex below 255 that lie halfway between the answers about a frame's nodes.

    So every rule removes something of the frame, and no rounding decides what.
    """
    node = pipeline.node
    row, column = np.nonzero(np.ones((luma.shape[0] // node, luma.shape[1] // node)))
    blocks = cut_nodes(luma, pipeline.cascade.window, row, column)
    answers = pipeline.cascade.every(blocks, np.full(len(blocks), qindex, np.uint8))

    def halfway(stage: str, column: int, share: float) -> float:
        if stage not in answers or column >= answers[stage].shape[1]:  # 8x8 nodes have no AB
            return 0.0
        values = np.sort(answers[stage][:, column])
        at = min(int(share * len(values)), len(values) - 2)
        return float((values[at] + values[at + 1]) / 2)

    flat = np.sort(deviation(blocks, pipeline.bit_depth, pipeline.cascade.window))
    thresholds = Thresholds(
        none_only_above=halfway("1", 0, 0.85) or 1.0,
        drop_none_below=halfway("1", 0, 0.2),
        split_only_above=halfway("2", 0, 0.8),
        drop_split_below=halfway("2", 0, 0.3),
        drop_rect_below=halfway("2", 1, 0.3),
        drop_ab_below=halfway("2", 2, 0.6),
        drop_direction_below=halfway("3-rect", 0, 0.5),
        drop_ab_kind_below=halfway("3-ab", 1, 0.5),
        drop_four_way_below=halfway("2", 1, 0.5),
        flat_below=float((flat[len(flat) // 8] + flat[len(flat) // 8 + 1]) / 2),
    )
    return Policy(((qindex, thresholds), (255, Thresholds(drop_ab_below=0.4))))


def random_pipeline(
    path: Path,
    trained: Path,
    data: Path,
    luma: Luma,
    contexts: Mapping[str, int],
    *,
    qindex: int = 120,
    encoder: Mapping[str, object] = LIBAOM,
    pruner: PrunerBundle | None = None,
) -> Path:
    """A pipeline of these stages and their contexts; `luma` is the frame for `spread_policy`."""
    like, blocks, first = load_checkpoint(trained), BlockSet.load(data), path.parent / f".{path.name}-first"
    bundles = [random_stage(like, blocks, s, context, encoder) for s, context in contexts.items()]
    build_pipeline(bundles, first, Policy(), BuildConfig(allow_unproven=True))
    policy = spread_policy(Pipeline.load(first, threads=1), luma, qindex)
    build_pipeline(bundles, path, policy, BuildConfig(allow_unproven=True), pruner=pruner)
    return path


def load_in_c(encoder: Encoder, folder: Path) -> None:
    """Let a folder's pipeline or pruner decide in an encoder, as a host in C does; ToolkitError where C refuses."""
    library, handle = encoder._library, encoder._handle
    is_pipeline = (folder / "bundles").is_dir()
    load = library.av1part_load_pipeline if is_pipeline else library.av1part_load_pruner
    native.check(library, handle, load(handle, str(folder).encode()))
