"""Pictures of a run: curves over the epochs and the confusion matrix of the best one (matplotlib, no display)."""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")

from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from toolkit.files import atomic_file
from toolkit.model.config import ModelConfig
from toolkit.training.run_folder import RunFolder, best_epoch


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically."""
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png", bbox_inches="tight")


def draw_run(run: RunFolder) -> list[Path]:
    """Write curves.png and confusion.png into the run folder; return their paths, none where no epoch has a score."""
    history, description = run.history(), run.read()
    best = best_epoch(history)
    if best is None:
        return []
    classes = ModelConfig.from_dict(description["model"]).classes
    epochs = [e["epoch"] for e in history]

    curves = Figure(figsize=(11, 4), layout="constrained")
    left, right = curves.subplots(1, 2)
    left.plot(epochs, [e["loss"] for e in history], label="training (augmented, with dropout)")
    left.plot(epochs, [e["val_loss"] for e in history], label="validation")
    left.set(xlabel="epoch", ylabel="loss", title=description["train"]["loss"])
    right.plot(epochs, [e["macro_f1"] for e in history], "k", linewidth=2, label="macro-F1")
    for name in classes:
        right.plot(epochs, [e["per_class"][name]["f1"] for e in history], linewidth=1, label=f"F1 {name}")
    constant = description["baselines"]["best_constant"]
    right.axhline(constant["macro_f1"], color="grey", linestyle=":", label=f"macro-F1 of always {constant['class']}")
    right.plot([best["epoch"]], [best["macro_f1"]], "ko")
    right.set(xlabel="epoch", ylabel="F1 (validation)", ylim=(0, 1), title=f"best: epoch {best['epoch']}")
    for axes in (left, right):
        frozen = [e["epoch"] for e in history if e["phase"] == "frozen"]
        if frozen:
            axes.axvspan(0.5, frozen[-1] + 0.5, color="tab:blue", alpha=0.08, label="backbone frozen")
        axes.legend(fontsize="small")
    save_figure(curves, run.path / "curves.png")

    matrix = Figure(figsize=(4.5, 4), layout="constrained")
    ConfusionMatrixDisplay(np.array(best["confusion"]), display_labels=classes).plot(
        ax=matrix.subplots(), colorbar=False
    )
    matrix.axes[0].set_title(f"validation, epoch {best['epoch']}")
    save_figure(matrix, run.path / "confusion.png")
    return [run.path / "curves.png", run.path / "confusion.png"]
