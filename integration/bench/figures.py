"""The benchmark's figures as SVG text, drawn by matplotlib without a display."""

import math
from typing import Any

import matplotlib
from matplotlib.axis import XAxis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from scipy.interpolate import PchipInterpolator

from integration.bench.labels import Label, write_labels
from integration.bench.session import NATIVE, PIPELINE
from integration.bench.summary import ArmEntry, Summary
from toolkit.reports.style import STYLE, to_svg

_MARKS = {NATIVE: ("#111827", "s"), PIPELINE: ("#dc2626", "o")}
_PRESETS = ("#111827", "#2563eb", "#0f766e", "#a16207", "#9333ea", "#64748b")
"""Colours of the native presets, in their order."""
_DASHES = ("-", "--", ":", "-.", (0, (8, 2)), (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (2, 4)))


def _mark(arm: ArmEntry) -> tuple[str, str]:
    """Colour and marker of an arm's kind; every price of a pruner has the same."""
    return ("#2563eb", "o") if arm["price"] is not None else _MARKS[arm["kind"]]


def draw_pareto(report: Summary) -> str:
    """Draw every arm in the plane of time saving and BD-rate: native presets joined by a line, spreads as bars."""
    with matplotlib.rc_context(STYLE):
        return to_svg(pareto(report))


def pareto(report: Summary) -> Figure:
    """Figure of `draw_pareto`."""
    figure = Figure(figsize=(8.5, 5), layout="constrained")
    axes = figure.subplots()
    natives = sorted((a["saving"], a["loss"]["akima"]) for a in report["arms"] if a["kind"] == NATIVE)
    axes.plot(*zip(*natives, strict=True), color=_MARKS[NATIVE][0], linewidth=1.2, zorder=1)
    lines, labels = [natives], []
    for kind in dict.fromkeys(arm["kind"] for arm in report["arms"]):
        for number, arm in enumerate(a for a in report["arms"] if a["kind"] == kind):
            colour, mark = _mark(arm)
            place = arm["saving"], arm["loss"]["akima"]
            if arm["saving_spread"]:
                low, high = arm["saving_spread"]
                axes.hlines(place[1], low, high, color=colour, linewidth=1)
                lines.append([(low, place[1]), (high, place[1])])
            axes.plot(*place, mark, color=colour, markersize=7, label=None if number else kind)
            labels.append(Label(str(arm["cpu_used"]), place, colour))
    axes.set(
        xlabel=f"time saving against {report['anchor']} (%)",
        ylabel="BD-rate, PSNR-Y, Akima (%)",
    )
    axes.set_title("Down and right is better; the line joins libaom's own presets (numbers: cpu-used)", fontsize=10)
    axes.margins(0.08)
    figure.legend(loc="outside right upper")
    write_labels(figure, axes, labels, lines)
    return figure


def draw_curves(report: Summary, clip: str) -> str:
    """Draw every arm's curve of rate and quality of a clip, and beside it each curve's distance to the anchor's.

    The distances are drawn because the curves themselves all but coincide.
    """
    with matplotlib.rc_context(STYLE):
        return to_svg(curves(report, clip))


def curves(report: Summary, clip: str) -> Figure:
    """Figure of `draw_curves`."""
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    whole, beside = figure.subplots(1, 2)
    anchor = next(arm for arm in report["arms"] if arm["name"] == report["anchor"])["clips"][clip]["points"]
    rising = sorted((p["psnr_y"], math.log(p["bytes"])) for p in anchor)
    line = PchipInterpolator(*zip(*rising, strict=True))
    for arm in report["arms"]:
        points, style = arm["clips"][clip]["points"], arm_style(report, arm)
        whole.plot([p["bytes"] for p in points], [p["psnr_y"] for p in points], **style)
        extra = [100 * (p["bytes"] / math.exp(line(p["psnr_y"])) - 1) for p in points]
        beside.plot([p["psnr_y"] for p in points], extra, label=arm["name"], **style)
    whole.set(xlabel="bytes", ylabel="PSNR-Y (dB)", xscale="log")
    _tick_bytes(whole.xaxis)
    beside.set(xlabel="PSNR-Y (dB)", ylabel="extra bytes at equal PSNR-Y (%)")
    figure.legend(fontsize="small", loc="outside right upper")
    return figure


def arm_style(report: Summary, arm: ArmEntry) -> dict[str, Any]:
    """Line of an arm: a colour and mark by kind, dashes by preset and price; native presets have a colour each."""
    colour, mark = _mark(arm)
    place = [a["name"] for a in report["arms"] if _mark(a) == (colour, mark)].index(arm["name"])
    if arm["kind"] == NATIVE:
        colour = _PRESETS[place % len(_PRESETS)]
    dashes = _DASHES[place % len(_DASHES)]
    return {"color": colour, "marker": mark, "markersize": 4, "linewidth": 1.1, "linestyle": dashes}


def _tick_bytes(axis: XAxis) -> None:
    """Put at least three round numbers on a logarithmic axis, which by itself names powers of ten alone."""
    low, high = axis.get_view_interval()
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    ticks = [figure * 10**power for power in powers for figure in (1, 2, 5) if low <= figure * 10**power <= high]
    axis.set_major_locator(FixedLocator(ticks) if len(ticks) > 2 else MaxNLocator(5, steps=[1, 2, 5, 10]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
