"""Scoring a model while it is trained and chosen: on which blocks, and which scores are kept."""

import math
from typing import Any, cast

import torch

from toolkit.data.blockset import Blocks, BlockSet
from toolkit.data.costs import class_regret, regret_metrics
from toolkit.data.sampling import stratified_index
from toolkit.metrics import classification_metrics, flat_f1
from toolkit.model.checkpoint import Metrics
from toolkit.model.network import Classifier, predict
from toolkit.training.losses import loss_of
from toolkit.training.run_folder import ValidationScores
from toolkit.windows import Window

CALIBRATION_BLOCKS = 512


def validation_blocks(data: BlockSet, stage: str, limit: int | None, window: Window) -> Blocks:
    """Validation blocks of a stage, at most `limit`: the same for every seed, so that runs can be compared."""
    return data.split_blocks("val", stage, limit, window=window)


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
    logits = predict(model, blocks.luma, blocks.qindex)
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
