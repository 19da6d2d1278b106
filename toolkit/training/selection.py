"""Scoring a model on the validation split, choosing the best epoch, and checking that its file gives its score."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import torch

from toolkit.data.blockset import Blocks, BlockSet
from toolkit.data.costs import class_regret, regret_metrics
from toolkit.errors import ToolkitError
from toolkit.metrics import ConstantScores, classification_metrics, flat_f1
from toolkit.model.checkpoint import Metrics
from toolkit.model.network import Classifier, predict
from toolkit.processes import worker_pool
from toolkit.progress import Hearing, hearing
from toolkit.training.data import validation_blocks
from toolkit.training.losses import loss_of
from toolkit.training.run_folder import Metric, RunFolder, ValidationScores, best_epoch


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


METRICS: tuple[Metric, ...] = get_args(Metric)
TOLERANCE = {"macro_f1": 0.002, "accuracy": 0.002, "regret": 0.02}
"""Largest difference of a re-evaluated metric from the recorded one: other hardware may flip a near-tie, no more.
Regret is in percent of RD cost."""


@dataclass(frozen=True)
class Selection:
    """The chosen epoch, its file, its re-evaluated validation metrics, and why it was chosen.

    `recorded`: the value of `metric` in the history. `ties`, `nan`, `collapsed`: epochs of an equal value, of none, and
    of a single predicted class. `baseline`: the best constant predictor.
    """

    epoch: int
    path: Path
    metric: str
    recorded: float
    metrics: Metrics
    baseline: ConstantScores
    ties: list[int]
    nan: list[int]
    collapsed: list[int]

    @property
    def beats_baseline(self) -> bool:
        """Whether the epoch's macro-F1 is above the best constant predictor's."""
        return bool(self.metrics["macro_f1"] > self.baseline["macro_f1"])

    def to_dict(self) -> dict[str, object]:
        """Plain values for --json."""
        flat = {k: v for k, v in self.metrics.items() if k in ("macro_f1", "accuracy", "regret") or k.endswith("_f1")}
        return {
            "epoch": self.epoch,
            **flat,
            "per_class": self.metrics["per_class"],
            "baseline_macro_f1": self.baseline["macro_f1"],
            "baseline_class": self.baseline["class"],
            "beats_baseline": self.beats_baseline,
            "metric": self.metric,
            "recorded": self.recorded,
            "checkpoint": str(self.path),
            "tied_epochs": self.ties,
            "nan_epochs": self.nan,
            "collapsed_epochs": self.collapsed,
        }


def collapsed(entry: ValidationScores) -> bool:
    """Whether the epoch predicted a single class for every validation block."""
    return sum(any(row[c] for row in entry["confusion"]) for c in range(len(entry["confusion"]))) <= 1


def select_epoch(run: Path | str, metric: str = "macro_f1", data: Path | None = None) -> Selection:
    """Choose the epoch of the highest validation metric (lowest regret; the earlier of equal ones), NaN left out.

    The epoch's file is then evaluated again, in a fresh process, on the run's validation split (`data`: where the
    data set lies now, if it has moved). Raises ToolkitError where no epoch is usable, the data set is another than
    the one trained on, or the file does not give the recorded value.
    """
    metric = _known(metric)
    folder = RunFolder.open(run)
    history = folder.history()
    best = best_epoch(history, metric)
    if best is None:
        mend = "Train on a data set with RD costs (label --with-costs)" if metric == "regret" else "Train it (again)"
        raise ToolkitError(f"{run}: {len(history)} epochs are finished and none has a {metric}. {mend}.")
    path, place = folder.epoch_path(best["epoch"]), folder.data_path(data)
    # A new interpreter shares no memory with a training run in this process: only the file counts.
    with worker_pool(1) as pool:
        metrics = pool.submit(_reevaluate, folder.path, path, place, hearing()).result()
    if not math.isclose(metrics[metric], best[metric], abs_tol=TOLERANCE[metric]):
        raise ToolkitError(
            f"{path}: {metric} is {metrics[metric]:.4f} from the file, {best[metric]:.4f} in the history. "
            "The checkpoint is not the one that was measured, or the data changed. Train again."
        )
    return Selection(
        epoch=best["epoch"],
        path=path,
        metric=metric,
        recorded=best[metric],
        metrics=metrics,
        baseline=folder.read()["baselines"]["best_constant"],
        ties=[e["epoch"] for e in history if e.get(metric) == best[metric] and e is not best],
        nan=[e["epoch"] for e in history if math.isnan(e.get(metric, math.nan))],
        collapsed=[e["epoch"] for e in history if collapsed(e)],
    )


def reevaluated_best(run: RunFolder, data: Path | None = None) -> Path:
    """Path of the checkpoint that `select_epoch` chooses: of the best recorded macro-F1, which its file still gives."""
    return select_epoch(run.path, data=data).path


def _known(metric: str) -> Metric:
    """The metric, if it is one of METRICS; else ToolkitError."""
    if metric not in METRICS:
        raise ToolkitError(f"Metric {metric!r}: expected one of {', '.join(METRICS)}.")
    return metric


def _reevaluate(run: Path, path: Path, data: Path, heard: Hearing) -> Metrics:
    """Metrics of a run's checkpoint on its validation split; for a process of its own, whose progress is `heard`."""
    from toolkit.model.checkpoint import load_checkpoint

    description = RunFolder.open(run).read()
    checkpoint = load_checkpoint(path)
    blocks = BlockSet.load(data)
    if blocks.sha256 != checkpoint.data_sha256:
        raise ToolkitError(
            f"{blocks.path}: not the data set that {run} was trained on (sha256 {blocks.sha256[:8]}..., "
            f"expected {checkpoint.data_sha256[:8]}...). Pass the right one with --data."
        )
    val = validation_blocks(blocks, checkpoint.config, description["train"]["limit_val"])
    with heard():
        return evaluate(checkpoint.model, val)[1]
