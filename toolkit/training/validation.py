"""Scoring a model while it is trained and chosen: on which blocks, and which scores are kept."""

import math
from typing import Any, cast

import torch

from toolkit.data.blockset import Blocks, BlockSet
from toolkit.data.costs import class_regret, regret_metrics
from toolkit.data.sampling import stratified_index
from toolkit.metrics import classification_metrics, flat_f1
from toolkit.model.checkpoint import Metrics
from toolkit.model.config import ModelConfig
from toolkit.model.network import Classifier, predict
from toolkit.training.losses import loss_of
from toolkit.training.run_folder import ValidationScores

CALIBRATION_BLOCKS = 512


def validation_blocks(data: BlockSet, model: ModelConfig, limit: int | None) -> Blocks:
    """Validation blocks of a model, at most `limit`: the same for every seed, so that runs can be compared."""
    return data.split_blocks("val", model.stage, limit, window=model.window, inside=model.inside)


def never_asked(data: BlockSet, split: str, model: ModelConfig) -> str:
    """Sentence on the split's blocks that a model inside the search is never asked about; empty where there is none."""
    if model.inside is None:
        return ""
    every = len(data.split_index(split, model.stage))
    left = every - len(data.split_index(split, model.stage, model.inside))
    where = f"the search did not come to the point after {model.inside.point.upper()} there"
    return f"{left:,} of the {every:,} blocks of the {split} split are left out: {where}." if left else ""


def calibration_blocks(val: Blocks, seed: int = 0) -> Blocks:
    """The validation blocks that a checkpoint carries, as even over class and qindex as the data allow."""
    return val[stratified_index(val.target, val.qindex, CALIBRATION_BLOCKS, seed)]


def evaluate(
    model: Classifier, blocks: Blocks, loss_function: torch.nn.Module | None = None
) -> tuple[ValidationScores, Metrics]:
    """Score a model on blocks: the scores for a history, and the metrics among them for a checkpoint.

    Blocks with RD costs also give the entries of `costs.regret_metrics`. The loss is there with a `loss_function`.
    Logits that are not finite make macro-F1 and regret NaN.
    """
    model.eval()
    logits = predict(model, *blocks.inputs)
    predictions = logits.argmax(1).numpy()
    scores = classification_metrics(blocks.target, predictions, model.config.classes)
    metrics: dict[str, Any] = {k: v for k, v in scores.items() if k != "confusion"} | flat_f1(scores)
    regret = None if blocks.costs is None else class_regret(blocks, model.config.stage)
    if regret is not None:
        metrics |= regret_metrics(regret, predictions)
    if not bool(torch.isfinite(logits).all()):
        # The argmax over NaN is a class, and would be scored as a decision.
        metrics |= {k: math.nan for k in ("macro_f1", "regret") if k in metrics}
    entry = metrics | {"confusion": scores["confusion"]}
    if loss_function is not None:
        device = next(model.parameters()).device
        targets = torch.from_numpy(blocks.target).to(device)
        shares = None if regret is None else torch.from_numpy(regret.share).to(device)
        with torch.no_grad():
            entry["val_loss"] = float(loss_of(loss_function, logits.to(device), targets, shares))
    return cast(ValidationScores, entry), cast(Metrics, metrics)
