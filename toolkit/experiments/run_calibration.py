"""The calibration of runs' best checkpoints on their validation split; the files are scored again on the way."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.experiments.calibration import Reliability, calibration_metrics, fit_temperature, reliability
from toolkit.experiments.run_summary import RunSummary
from toolkit.metrics import classification_metrics
from toolkit.model.checkpoint import load_checkpoint
from toolkit.model.network import predict
from toolkit.training.run_folder import RunFolder
from toolkit.training.selection import TOLERANCE
from toolkit.training.validation import validation_blocks


@dataclass(frozen=True)
class RunCalibration:
    """`metrics` as `calibration_metrics` gives them; the bins are those before scaling."""

    metrics: dict[str, float]
    bins: Reliability


def calibrate_runs(
    runs: Sequence[RunSummary],
    data: Path | None = None,
) -> dict[Path, RunCalibration]:
    """Score the best checkpoint of each run (all of one data set; `data`: where it lies now) and fit its temperature.

    The temperature is fitted on the blocks that it is measured on; one number on thousands of blocks hardly overfits.
    Raises ToolkitError where the data set is another, or a file does not give the macro-F1 of its history.
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
        val = validation_blocks(blocks, run.stage, run.description["train"]["limit_val"], checkpoint.config.window)
        logits = predict(checkpoint.model, val.luma, val.qindex).numpy()
        macro_f1 = classification_metrics(val.target, logits.argmax(1), run.classes)["macro_f1"]
        recorded = run.best["macro_f1"] if run.best else math.nan
        if not math.isclose(macro_f1, recorded, abs_tol=TOLERANCE["macro_f1"]):
            raise ToolkitError(
                f"{path}: macro-F1 is {macro_f1:.4f} from the file, {recorded:.4f} in the history. "
                "The checkpoint is not the one that was measured. Train again."
            )
        temperature = fit_temperature(logits, val.target)
        metrics = calibration_metrics(logits, val.target, temperature)
        found[run.path] = RunCalibration(metrics, reliability(logits, val.target))
    return found
