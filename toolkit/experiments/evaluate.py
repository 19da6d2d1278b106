"""Evaluate a checkpoint on a split of any BlockSet, beside predictors that never look at a pixel."""

from typing import Any, NotRequired, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from toolkit.data.blockset import Blocks, BlockSet
from toolkit.data.costs import class_regret, regret_metrics
from toolkit.data.encoder_settings import settings_differ
from toolkit.errors import ToolkitError
from toolkit.experiments.reliability import ReliabilityScores, fit_temperature, reliability_scores
from toolkit.metrics import BaselineScores, Scores, baselines, classification_metrics
from toolkit.model.checkpoint import Checkpoint
from toolkit.model.network import predict
from toolkit.model.provenance import is_known
from toolkit.model.suitability import check_bit_depth, check_unseen, seen_sources
from toolkit.training.data import validation_blocks

SEED = 0
"""Seed that draws the blocks where a limit is given."""


class SliceScores(Scores):
    """Scores of the model on some blocks, and of the constant with the best macro-F1 on them."""

    blocks: int
    constant_class: str
    constant_macro_f1: float
    constant_accuracy: float


class OverallScores(SliceScores):
    """Scores on all blocks of the split; with RD costs, also the regret as in `costs.RegretScores`."""

    regret: NotRequired[float]
    regret_best_constant: NotRequired[float]
    regret_exact: NotRequired[float]


class SplitReliability(ReliabilityScores):
    """Reliability on the split. `fitted_on`: blocks of the temperature; `nll_of_shares`: NLL of the class shares."""

    fitted_on: str
    nll_of_shares: float


class DataReference(TypedDict):
    """A data set by its folder and the hash of its manifest."""

    path: str
    sha256: str


class Evaluation(TypedDict):
    """Result of `evaluate_on`, ready for JSON. `baselines` are constants by class; `seen` names sources trained on."""

    stage: str
    classes: list[str]
    epoch: int
    data: DataReference
    split: str
    blocks: int
    overall: OverallScores
    baselines: dict[str, BaselineScores]
    training_majority: str
    beats_baseline: bool
    calibration: SplitReliability
    per_source: dict[str, SliceScores]
    per_qindex: dict[str, SliceScores]
    seen: list[str]
    notes: list[str]


def evaluate_on(
    checkpoint: Checkpoint, data: BlockSet, split: str, *, limit: int | None = None, allow_seen: bool = False
) -> Evaluation:
    """Score a checkpoint on a split: overall, by source and by qindex, with the reliability of its probabilities.

    `limit`: maximum number of blocks, drawn by SEED. Raises ToolkitError on another bit depth, and where the model was
    trained on a source of the split, unless `allow_seen`; `seen` of the result then names the source.
    """
    advice = " Use data of that depth, or a model trained on this one."
    check_bit_depth("the model", checkpoint.config.bit_depth, data, advice)
    seen = seen_sources(checkpoint.provenance, data, split)
    if not allow_seen:
        advice = ", so its score there says nothing of new material. Use held-out sources, or pass --allow-seen."
        check_unseen(checkpoint.provenance, data, split, advice)
    _check_scored(checkpoint)
    model = checkpoint.config
    blocks = data.split_blocks(split, model.stage, limit, SEED, model.window)
    logits = _logits(checkpoint, blocks)
    temperature, fitted_on = _temperature(checkpoint, data, split, logits, blocks)
    overall = cast(OverallScores, _scores(checkpoint, logits, blocks.target))
    if blocks.costs is not None:
        overall = {**overall, **regret_metrics(class_regret(blocks, checkpoint.stage), logits.argmax(1))}
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
        "calibration": {
            **reliability_scores(logits, blocks.target, temperature),
            "fitted_on": fitted_on,
            "nll_of_shares": float(-np.sum(shares[shares > 0] * np.log(shares[shares > 0]))),
        },
        "per_source": {data.sources[s]["name"]: v for s, v in _slices(checkpoint, logits, blocks, "source").items()},
        "per_qindex": {str(q): v for q, v in _slices(checkpoint, logits, blocks, "qindex").items()},
        "seen": seen,
        "notes": _notes(checkpoint, data, split, seen),
    }


def _check_scored(checkpoint: Checkpoint) -> None:
    """Raise ToolkitError where the checkpoint lacks a record that its evaluation compares with."""
    per_class = checkpoint.metrics.get("per_class", {})
    lacking = [f"score of {name}" for name in checkpoint.config.classes if "support" not in per_class.get(name, {})]
    lacking += ["majority class"] * ("class" not in checkpoint.baselines.get("majority", {}))
    if lacking:
        raise ToolkitError(f"The checkpoint records no {', no '.join(lacking)}. Train again.")


def _logits(checkpoint: Checkpoint, blocks: Blocks) -> NDArray[np.float32]:
    logits: NDArray[np.float32] = predict(checkpoint.model, *blocks.inputs).numpy()
    return logits


def _scores(checkpoint: Checkpoint, logits: NDArray[np.float32], target: NDArray[np.int64]) -> SliceScores:
    classes = checkpoint.config.classes
    constant = baselines(target, target, classes)["best_constant"]
    return {
        **classification_metrics(target, logits.argmax(1), classes),
        "blocks": len(target),
        "constant_class": constant["class"],
        "constant_macro_f1": constant["macro_f1"],
        "constant_accuracy": constant["accuracy"],
    }


def _slices(checkpoint: Checkpoint, logits: NDArray[np.float32], blocks: Blocks, by: str) -> dict[int, SliceScores]:
    """Scores by each value of `by`, a field of the blocks."""
    values: NDArray[np.integer[Any]] = getattr(blocks, by)
    parts = {int(v): values == v for v in np.unique(values)}
    return {v: _scores(checkpoint, logits[part], blocks.target[part]) for v, part in parts.items()}


def _temperature(
    checkpoint: Checkpoint, data: BlockSet, split: str, logits: NDArray[np.float32], blocks: Blocks
) -> tuple[float, str]:
    """Temperature fitted on the model's own validation blocks, and words that say which blocks these are."""
    if data.sha256 == checkpoint.data_sha256:
        if split == "val":
            return fit_temperature(logits, blocks.target), "these very blocks: the scaled figures are optimistic"
        val = validation_blocks(data, checkpoint.config, None)
        return fit_temperature(_logits(checkpoint, val), val.target), f"the {len(val):,} blocks of the val split"
    # The checkpoint carries equally many blocks of each class; weights restore the shares of the validation split.
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
