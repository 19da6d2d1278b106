"""A benchmark's answer in words: what the masks save, and what they cost."""

from integration.bench.session import NATIVE
from integration.bench.summary import ArmEntry, Summary
from toolkit.reports.section import Cell


def verdicts(report: Summary) -> list[Cell]:
    """A sentence for each arm of a pipeline or pruner; losses have tone bad."""
    arms = [arm for arm in report["arms"] if arm["kind"] != NATIVE]
    return [_verdict(arm, report["anchor"]) for arm in arms] or [
        Cell("Only libaom's own presets were measured: there is nothing to judge.")
    ]


def _verdict(arm: ArmEntry, anchor: str) -> Cell:
    own, under = arm["own_preset"], arm["under_frontier"]
    time, price = round(own["saving"], 1), round(own["loss"], 2)
    said = f"saves {time:.1f}%" if time > 0 else f"spends {-time:.1f}% more" if time < 0 else "saves none"
    cost = f"{price:.2f}% more bytes" if price > 0 else f"{-price:.2f}% fewer bytes" if price < 0 else "no more bytes"
    text = f"{arm['name']} {said} of the CPU time of {NATIVE} at {arm['cpu_used']}, for {cost} at equal PSNR-Y."
    if time < 0:
        text = text.replace("more of the CPU time of", "more CPU time than")
    beside = f"At its saving of {arm['saving']:.1f}% against {anchor}, libaom's own presets"
    if under is None:
        text += f" Its saving against {anchor} lies outside that of the measured presets, so no preset is its equal."
    elif round(under, 2) < 0:
        text += f" {beside} cost {-under:.2f} points of BD-rate less."
    else:
        text += f" {beside} cost {under:.2f} points of BD-rate more."
    if time <= 0 or (under is not None and round(under, 2) < 0):
        return Cell(f"A loss: {text}", "bad")
    return Cell(f"A gain: {text}", "good") if under is not None and round(under, 2) > 0 else Cell(text)
