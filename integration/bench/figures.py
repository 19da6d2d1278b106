"""The benchmark's figures as SVG text, drawn by matplotlib without a display."""

import math

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from scipy.interpolate import PchipInterpolator

from integration.bench.session import CNN_OFF, NATIVE, PIPELINE, PRUNER
from integration.bench.summary import Summary
from toolkit.reports.style import STYLE, to_svg

_MARKS = {
    NATIVE: ("#111827", "s"),
    PIPELINE: ("#dc2626", "o"),
    CNN_OFF: ("#6b7280", "v"),
    "random": ("#d97706", "x"),
    "variance": ("#7c3aed", "P"),
    "oracle 2": ("#0891b2", "^"),
    "oracle 1+2+3": ("#059669", "D"),
}


def _mark(kind: str) -> tuple[str, str]:
    """Colour and marker of an arm's kind; every price of a pruner has the same."""
    return ("#2563eb", "o") if kind.startswith(PRUNER) else _MARKS.get(kind, ("#374151", "*"))


def draw_pareto(report: Summary) -> str:
    """Draw every arm in the plane of time saving and BD-rate: native presets joined by a line, spreads as bars."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.5, 5), layout="constrained")
        axes = figure.subplots()
        natives = sorted((a["saving"], a["loss"]["akima"]) for a in report["arms"] if a["kind"] == NATIVE)
        axes.plot(*zip(*natives, strict=True), color=_MARKS[NATIVE][0], linewidth=1.2, zorder=1)
        for kind in dict.fromkeys(arm["kind"] for arm in report["arms"]):
            colour, mark = _mark(kind)
            for number, arm in enumerate(a for a in report["arms"] if a["kind"] == kind):
                place = arm["saving"], arm["loss"]["akima"]
                if arm["saving_spread"]:
                    low, high = arm["saving_spread"]
                    axes.hlines(place[1], low, high, color=colour, linewidth=1)
                axes.plot(*place, mark, color=colour, markersize=7, label=None if number else kind)
                axes.annotate(str(arm["cpu_used"]), place, xytext=(6, 5), textcoords="offset points", color=colour)
        axes.set(
            xlabel=f"time saving against {report['anchor']} (%)",
            ylabel="BD-rate, PSNR-Y, Akima (%)",
            title="Down and right is better; the line joins libaom's own presets (numbers: cpu-used)",
        )
        axes.legend()
        return to_svg(figure)


def draw_curves(report: Summary, clip: str) -> str:
    """Draw every arm's curve of rate and quality of a clip, and beside it each curve's distance to the anchor's.

    The distances are drawn because the curves themselves all but coincide.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.5, 3.4), layout="constrained")
        whole, beside = figure.subplots(1, 2)
        anchor = next(arm for arm in report["arms"] if arm["name"] == report["anchor"])["clips"][clip]["points"]
        rising = sorted((p["psnr_y"], math.log(p["bytes"])) for p in anchor)
        line = PchipInterpolator(*zip(*rising, strict=True))
        for arm in report["arms"]:
            points = arm["clips"][clip]["points"]
            colour, mark = _mark(arm["kind"])
            shade = 1 - 0.2 * (arm["cpu_used"] % 4)
            style = {"color": colour, "marker": mark, "markersize": 4, "linewidth": 0.9, "alpha": shade}
            whole.plot([p["bytes"] for p in points], [p["psnr_y"] for p in points], **style)
            extra = [100 * (p["bytes"] / math.exp(line(p["psnr_y"])) - 1) for p in points]
            beside.plot([p["psnr_y"] for p in points], extra, label=arm["name"], **style)
        whole.set(xlabel="bytes", ylabel="PSNR-Y (dB)", xscale="log")
        whole.xaxis.set_minor_formatter(NullFormatter())
        beside.set(xlabel="PSNR-Y (dB)", ylabel="extra bytes at equal PSNR-Y (%)")
        beside.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5))
        return to_svg(figure)
