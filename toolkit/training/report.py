"""What a run shows beside its files: curves, and the best epoch's confusion matrix."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from toolkit.files import atomic_file
from toolkit.model.config import ModelConfig
from toolkit.training.run_folder import Epoch, RunDescription, RunFolder, best_epoch

matplotlib.use("Agg")


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
    title = f"{run.path.resolve().name}, stage {description['model']['stage']}"
    curves = draw_curves(title, description, history)
    matrix = draw_confusion(f"{title}: epoch {best['epoch']}", best["confusion"], classes)
    save_figure(curves, run.path / "curves.png")
    save_figure(matrix, run.path / "confusion.png")
    return [run.path / "curves.png", run.path / "confusion.png"]


def draw_curves(title: str, description: RunDescription, history: list[Epoch]) -> Figure:
    """Draw losses, and beside them F1 on the validation split; legends stand below the axes."""
    best = best_epoch(history)
    epochs = [e["epoch"] for e in history]
    figure = Figure(figsize=(11, 5), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [e["loss"] for e in history], label="training (augmented, with dropout)")
    left.plot(epochs, [e["val_loss"] for e in history], label="validation")
    left.set(ylabel=f"{description['train']['loss']} loss")
    right.plot(epochs, [e["macro_f1"] for e in history], "k", linewidth=2, label="macro-F1")
    for name in ModelConfig.from_dict(description["model"]).classes:
        right.plot(epochs, [e["per_class"][name]["f1"] for e in history], linewidth=1, label=f"F1 {name}")
    constant = description["baselines"]["best_constant"]
    right.axhline(constant["macro_f1"], color="grey", linestyle=":", label=f"macro-F1 of always {constant['class']}")
    right.set(ylabel="F1 (validation)", ylim=(0, 1))
    if best is not None:
        right.plot([best["epoch"]], [best["macro_f1"]], "ko", label=f"best: epoch {best['epoch']}")
    frozen = [e["epoch"] for e in history if e["phase"] == "frozen"]
    for axes in (left, right):
        if frozen:
            axes.axvspan(0.5, frozen[-1] + 0.5, color="tab:blue", alpha=0.08, label="backbone frozen")
        for line in [line for line in axes.lines if len(line.get_xydata()) == 1]:
            line.set_marker("o")  # one epoch makes no line
        axes.set(xlabel="epoch", xlim=(min(epochs) - 0.5, max(epochs) + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)
    return figure


def draw_confusion(title: str, confusion: list[list[int]], classes: tuple[str, ...]) -> Figure:
    """Draw the shares of each true class in percent, with the number of blocks below each."""
    counts = np.array(confusion)
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares):
        text = f"{share:.0f}%\n{counts[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", color="white" if share > 55 else "black")
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="decided", ylabel="true class (a row is 100%)", title=f"{title}, validation")
    return figure
