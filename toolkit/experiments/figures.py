"""Draw the pictures of a comparison as self-contained SVG text (matplotlib, no display)."""

import math
from collections.abc import Callable
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from toolkit.experiments.compare import Comparison
from toolkit.experiments.groups import Group
from toolkit.experiments.tables import Reliabilities, colour, trivial_scores
from toolkit.reports.style import STYLE, to_svg
from toolkit.training.run_folder import Epoch

RARE = 0.005
"""Share of the blocks below which a bin of the reliability diagram is left out, since its accuracy is mostly chance."""
Value = Callable[[Epoch], float]


class Picture(NamedTuple):
    """An SVG with its title; a wide one takes the whole width of the page."""

    title: str
    svg: str
    wide: bool = False


def draw_comparison(comparison: Comparison, reliability: Reliabilities) -> dict[str, list[Picture]]:
    """Pictures of the report, by the title of their section."""
    curves = [Picture(title, svg, title == "macro-F1") for title, svg in draw_curves(comparison).items()]
    pictures = {"Ranking": [Picture("Best macro-F1 of every run", draw_ranking(comparison), True)], "Curves": curves}
    if reliability:
        pictures["Calibration"] = [
            Picture(
                f"Reliability before scaling (bins with under {RARE:.1%} of the blocks left out)",
                draw_reliability(comparison, reliability),
            )
        ]
    return pictures


def draw_ranking(comparison: Comparison) -> str:
    """Draw each run's best macro-F1 as a dot, each group's mean and deviation, and the trivial scores as lines."""
    groups = comparison.groups
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.5, 1.2 + 0.42 * len(groups)), layout="constrained")
        axes = figure.subplots()
        for place, group in enumerate(groups):
            values, mean, deviation = group.values(), group.mean(), group.deviation()
            axes.plot(values, [place] * len(values), "o", color=colour(place), alpha=0.45, markersize=7, mew=0)
            if mean is not None:
                axes.errorbar(mean, place, xerr=deviation, fmt="|", color=colour(place), ms=16, mew=2.5, capsize=4)
        for name, value in trivial_scores(comparison.runs[0]).items():
            axes.axvline(value, color="#6b7280", linestyle=":")
            axes.annotate(
                name, (value, 1), xycoords=("data", "axes fraction"), xytext=(4, -10), textcoords="offset points",
                color="#6b7280", fontsize=9,
            )  # fmt: skip
        axes.set_yticks(range(len(groups)), [group.shown for group in groups])
        axes.set(ylim=(len(groups) - 0.5, -0.5), xlabel="best macro-F1 on the validation split")
        axes.grid(visible=False, axis="y")
        dot = Line2D([], [], color="#374151", marker="o", alpha=0.45, markersize=7, mew=0, linestyle="none")
        bar = Line2D([], [], color="#374151", marker="|", markersize=12, mew=2.5)
        figure.legend([dot, bar], ["one run", "mean of the seeds ± deviation"], loc="outside lower left", ncols=2)
        return to_svg(figure)


def draw_curves(comparison: Comparison) -> dict[str, str]:
    """Draw a figure for each metric: thin lines are runs, thick lines the means of groups."""
    metrics: dict[str, Value] = {"macro-F1": lambda e: e["macro_f1"], "accuracy": lambda e: e["accuracy"]}
    for name in comparison.runs[0].classes:
        metrics[f"F1 of {name}"] = _f1_of(name)
    metrics["validation loss"] = lambda e: e["val_loss"]
    return {title: _curves(comparison, title, value) for title, value in metrics.items()}


def _f1_of(name: str) -> Value:
    return lambda e: e["per_class"][name]["f1"]


def _curves(comparison: Comparison, title: str, value: Value) -> str:
    with matplotlib.rc_context(STYLE):
        wide, longest = title == "macro-F1", max(len(group.shown) for group in comparison.groups)
        columns = max(1, min(4, int((9.5 if wide else 6.2) / (0.6 + 0.09 * longest))))
        rows = math.ceil((len(comparison.groups) + 2 * wide) / columns)
        figure = Figure(figsize=(9.5 if wide else 6.2, (4 if wide else 3.6) + 0.22 * rows), layout="constrained")
        axes = figure.subplots()
        for place, group in enumerate(comparison.groups):
            _group_curves(axes, group, value, colour(place))
        axes.set(xlabel="epoch", ylabel=f"{title} (validation)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if wide:
            for (name, trivial), style in zip(trivial_scores(comparison.runs[0]).items(), (":", "-."), strict=True):
                axes.axhline(trivial, color="#6b7280", linestyle=style, lw=1, label=name)
        figure.legend(loc="outside lower left", ncols=columns)
        return to_svg(figure)


def _group_curves(axes: Axes, group: Group, value: Value, tone: str) -> None:
    """Draw a group's runs and their mean: dashed while the backbone is frozen, with a triangle where it is unfrozen."""
    for run in group.runs:
        axes.plot([e["epoch"] for e in run.history], [value(e) for e in run.history], color=tone, lw=1, alpha=0.4)
    epochs = min(len(run.history) for run in group.runs)
    mean = np.mean([[value(e) for e in run.history[:epochs]] for run in group.runs], axis=0)
    frozen = sum(e["phase"] == "frozen" for e in group.runs[0].history[:epochs])
    x = np.arange(1, epochs + 1)
    axes.plot(x[:frozen], mean[:frozen], color=tone, lw=2, linestyle=(0, (2.5, 1)))
    axes.plot(x[max(frozen - 1, 0) :], mean[max(frozen - 1, 0) :], color=tone, lw=2, label=group.shown)
    if 0 < frozen < epochs:
        axes.plot(x[frozen], mean[frozen], "^", color=tone, ms=7)
    if epochs == 1:
        axes.plot(x, mean, "o", color=tone)


def draw_reliability(comparison: Comparison, reliability: Reliabilities) -> str:
    """Draw accuracy against confidence before scaling, the runs of a group pooled."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.2, 4.6), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="#9ca3af", lw=1, linestyle="--", label="as often right as confident")
        for place, group in enumerate(comparison.groups):
            bins = [reliability[run.path].bins for run in group.runs]
            count = np.sum([b.count for b in bins], axis=0)
            shown = count >= RARE * count.sum()
            confidence, accuracy = (
                np.nansum([getattr(b, name) * b.count for b in bins], axis=0)[shown] / count[shown]
                for name in ("confidence", "accuracy")
            )
            axes.plot(confidence, accuracy, "o-", color=colour(place), ms=4, lw=1.5, label=group.shown)
        lowest = 1 / len(comparison.runs[0].classes)
        axes.set(xlim=(lowest, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy (validation)")
        figure.legend(loc="outside lower left")
        return to_svg(figure)
