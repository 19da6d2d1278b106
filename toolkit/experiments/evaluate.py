"""Cross-data evaluation: a checkpoint on a split of any BlockSet, beside predictors that never look at a pixel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.data.blockset import Blocks, BlockSet
from toolkit.data.costs import class_regret, regret_metrics
from toolkit.data.encoder_settings import settings_differ
from toolkit.errors import ToolkitError
from toolkit.experiments.calibration import calibration_metrics, fit_temperature
from toolkit.metrics import baselines, classification_metrics
from toolkit.model.checkpoint import Checkpoint
from toolkit.model.network import predict
from toolkit.model.provenance import is_known
from toolkit.model.suitability import seen_sources

SEED = 0
"""Draws the blocks where a limit is given."""


def evaluate_on(
    checkpoint: Checkpoint, data: BlockSet, split: str, *, limit: int | None = None, allow_seen: bool = False
) -> dict[str, Any]:
    """Score a checkpoint on a split: overall (with RD costs also their regret), per source, per qindex, calibration;
    JSON-ready.

    Raises ToolkitError on another bit depth, and where a source of the split was trained on (unless `allow_seen`,
    which the result's `seen` then names).
    """
    if data.bit_depth != checkpoint.config.bit_depth:
        raise ToolkitError(
            f"{data.path} has {data.bit_depth}-bit luma, the model takes {checkpoint.config.bit_depth} bit. "
            "Use data of that depth, or a model trained on this one."
        )
    seen = seen_sources(checkpoint, data, split)
    if seen and not allow_seen:
        raise ToolkitError(
            f"{data.path}: the model was trained on {', '.join(seen[:5])} of the {split} split ({len(seen)} sources in "
            "all), so its score there says nothing of new material. Use held-out sources, or pass --allow-seen."
        )
    blocks = data.split_blocks(split, checkpoint.stage, limit, SEED, checkpoint.config.window)
    logits = _logits(checkpoint, blocks)
    temperature, fitted_on = _temperature(checkpoint, data, split, logits, blocks)
    overall = _scores(checkpoint, logits, blocks.target)
    if blocks.costs is not None:
        overall |= regret_metrics(class_regret(blocks, checkpoint.stage), logits.argmax(1))
    shares = np.bincount(blocks.target) / len(blocks)
    return {
        "stage": checkpoint.stage,
        "classes": list(checkpoint.config.classes),
        "epoch": checkpoint.epoch,
        "data": {"path": str(data.path), "sha256": data.sha256},
        "split": split,
        "blocks": len(blocks),
        "overall": overall,
        "baselines": baselines(blocks.target, blocks.target, checkpoint.config.classes)["constant"],
        "training_majority": checkpoint.baselines["majority"]["class"],
        "beats_baseline": overall["macro_f1"] > overall["constant_macro_f1"],
        "calibration": calibration_metrics(logits, blocks.target, temperature)
        | {"fitted_on": fitted_on, "nll_of_shares": float(-np.sum(shares[shares > 0] * np.log(shares[shares > 0])))},
        "per_source": {data.sources[s]["name"]: v for s, v in _slices(checkpoint, logits, blocks, "source").items()},
        "per_qindex": {str(q): v for q, v in _slices(checkpoint, logits, blocks, "qindex").items()},
        "seen": seen,
        "notes": _notes(checkpoint, data, split, seen),
    }


def _logits(checkpoint: Checkpoint, blocks: Blocks) -> NDArray[np.float32]:
    logits: NDArray[np.float32] = predict(checkpoint.model, blocks.luma, blocks.qindex).numpy()
    return logits


def _scores(checkpoint: Checkpoint, logits: NDArray[np.float32], target: NDArray[np.int64]) -> dict[str, Any]:
    classes = checkpoint.config.classes
    constant = baselines(target, target, classes)["best_constant"]
    scores = classification_metrics(target, logits.argmax(1), classes)
    return scores | {
        "blocks": len(target),
        "constant_class": constant["class"],
        "constant_macro_f1": constant["macro_f1"],
        "constant_accuracy": constant["accuracy"],
    }


def _slices(checkpoint: Checkpoint, logits: NDArray[np.float32], blocks: Blocks, by: str) -> dict[int, dict[str, Any]]:
    values: NDArray[np.integer[Any]] = getattr(blocks, by)
    parts = {int(v): values == v for v in np.unique(values)}
    return {v: _scores(checkpoint, logits[part], blocks.target[part]) for v, part in parts.items()}


def _temperature(
    checkpoint: Checkpoint, data: BlockSet, split: str, logits: NDArray[np.float32], blocks: Blocks
) -> tuple[float, str]:
    """The temperature of the model's own validation blocks, and which they were."""
    if data.sha256 == checkpoint.data_sha256:
        if split == "val":
            return fit_temperature(logits, blocks.target), "these very blocks: the scaled figures are optimistic"
        val = data.split_blocks("val", checkpoint.stage, window=checkpoint.config.window)
        return fit_temperature(_logits(checkpoint, val), val.target), f"the {len(val):,} blocks of the val split"
    # The blocks in the checkpoint are even over the classes; weighted, they count as the validation split did.
    carried = checkpoint.calibration
    support = np.array([checkpoint.metrics["per_class"][c]["support"] for c in checkpoint.config.classes], float)
    drawn = np.bincount(carried.target, minlength=len(support))
    weights = (support / np.maximum(drawn, 1))[carried.target]
    temperature = fit_temperature(_logits(checkpoint, carried), carried.target, weights)
    return temperature, f"the {len(carried):,} validation blocks in the checkpoint"


def _notes(checkpoint: Checkpoint, data: BlockSet, split: str, seen: list[str]) -> list[str]:
    notes = []
    if seen:
        notes.append(f"SEEN IN TRAINING: {', '.join(seen)}. These scores say nothing of new material.")
    if not is_known(checkpoint.provenance):
        notes.append("The checkpoint was imported: whether it was trained on these sources is unknown.")
    if data.sha256 == checkpoint.data_sha256 and split == "val":
        notes.append("The epoch was chosen on this split: the scores are optimistic.")
    if differences := settings_differ(checkpoint.encoder, data.manifest["encoder"]):
        notes.append(f"The labels come from other encoder settings ({differences}).")
    return notes
