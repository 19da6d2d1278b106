"""Reliability of runs' best checkpoints on their validation split, with the checkpoints scored again from file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.experiments.reliability import (
    Reliability,
    ReliabilityScores,
    fit_temperature,
    reliability,
    reliability_scores,
)
from toolkit.experiments.run_summary import RunSummary
from toolkit.metrics import classification_metrics
from toolkit.model.checkpoint import load_checkpoint
from toolkit.model.network import predict
from toolkit.training.data import validation_blocks
from toolkit.training.run_folder import RunFolder
from toolkit.training.selection import TOLERANCE


@dataclass(frozen=True)
class RunReliability:
    """Reliability of a run's best checkpoint; `bins` are those before temperature scaling."""

    metrics: ReliabilityScores
    bins: Reliability


def measure_reliability(
    runs: Sequence[RunSummary],
    data: Path | None = None,
) -> dict[Path, RunReliability]:
    """Score the best checkpoint of each run and fit its temperature; returned by the run's path.

    All runs must be of one data set; `data` says where it is now, if it has moved. The temperature is fitted on the
    same blocks that it is measured on, because one number hardly overfits thousands of blocks. Raises ToolkitError
    where the data set is another, or a checkpoint does not give the macro-F1 that the run's history records.
    """
    where = data or Path(runs[0].description["data"]["path"])
    if not where.exists():
        raise ToolkitError(
            f"{where}: the runs' data set is not there. Name its place with --data, or pass --no-calibration."
        )
    blocks = BlockSet.load(where)
    if blocks.sha256 != runs[0].data_sha256:
        raise ToolkitError(
            f"{blocks.path}: not the data set that the runs were trained on (sha256 {blocks.sha256[:8]}..., expected "
            f"{runs[0].data_sha256[:8]}...). Pass the right one with --data."
        )
    found = {}
    for run in runs:
        path = RunFolder(run.path).artefact("model_best.pt")
        checkpoint = load_checkpoint(path)
        val = validation_blocks(blocks, checkpoint.config, run.description["train"]["limit_val"])
        logits = predict(checkpoint.model, *val.inputs).numpy()
        macro_f1 = classification_metrics(val.target, logits.argmax(1), run.classes)["macro_f1"]
        recorded = run.best["macro_f1"] if run.best else math.nan
        if not math.isclose(macro_f1, recorded, abs_tol=TOLERANCE["macro_f1"]):
            raise ToolkitError(
                f"{path}: macro-F1 is {macro_f1:.4f} from the file, {recorded:.4f} in the history. "
                "The checkpoint is not the one that was measured. Train again."
            )
        temperature = fit_temperature(logits, val.target)
        metrics = reliability_scores(logits, val.target, temperature)
        found[run.path] = RunReliability(metrics, reliability(logits, val.target))
    return found
