"""Output of `policy fit`, and policies in words."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from integration.bench.bd import saved_time
from toolkit.cli.tables import print_table, text_table

if TYPE_CHECKING:
    from integration.pipeline.policy import Policy
    from integration.tuning.config import PolicyFitConfig
    from integration.tuning.fit import FittedPolicy, PolicyTrial
    from integration.tuning.search import Point

CURVE = 12
"""Approximate number of points of the curve that are printed."""


def policy_lines(policy: "Policy") -> list[str]:
    """Lines that describe a policy: for each range of qindex, the thresholds that may remove anything."""
    lines, first = [], 0
    for last, thresholds in policy.ranges:
        active = ", ".join(f"{name} {value:.4g}" for name, value in thresholds.active.items())
        lines.append(f"qindex {first} to {last}: {active or 'nothing removed'}")
        first = last + 1
    return lines


def trial_log() -> "Callable[[PolicyTrial], None]":
    """Function that prints a trial on clips to stderr, one line each."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)

    def line(trial: "PolicyTrial") -> None:
        by_costs = trial.point.outcome
        console.print(
            f"encoded: BD-rate {trial.loss:+.2f}%, {saved_time(trial.saving)}; "
            f"by recorded costs: {by_costs.loss:+.2f}%, {saved_time(by_costs.saving)}"
        )

    return line


def print_fit(fit: "FittedPolicy", config: "PolicyFitConfig", output: Path) -> None:
    """Print the curve that was found, the trials by encoding, and the choice."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    title = f"By the recorded costs of the {config.split} split"
    table = text_table(title, "", "RD cost lost", "time saving", "best one forbidden")
    for point in _curve(fit):
        mark = "chosen" if point == fit.chosen else ""
        table.add_row(mark, *(f"{value:.3g}%" for value in point.outcome))
    print_table(console, table)
    if fit.trials:
        columns = ("BD-rate", "RD cost lost", "time saving", "by costs", "inference", "choice forbidden")
        table = text_table("Encoded, against the same preset without masks", "", *columns)
        for trial in fit.trials:
            by_costs = trial.point.outcome
            losses = f"{trial.loss:+.2f}%", f"{by_costs.loss:+.2f}%"
            savings = f"{trial.saving:+.1f}%", f"{by_costs.saving:+.1f}%"
            shares = f"{trial.inference_share:.1%}", f"{trial.lost:.2%}"
            table.add_row("chosen" if trial.point == fit.chosen else "", *losses, *savings, *shares)
        print_table(console, table)
    if alone := fit.pruner_alone:
        console.print(f"The pruner alone: BD-rate {alone.loss:+.2f}%, {saved_time(alone.saving)}.")
    for trial in fit.trials:
        if trial.point == fit.chosen and trial.saving <= (alone.saving if alone else 0):
            instead = "the pruner: take that by itself" if alone else "libaom alone: encode without them"
            console.print(f"Warning: a loss, taken by --allow-loss: the masks save no time against {instead}.")
    console.print(f"{output}:")
    for line in policy_lines(fit.chosen.policy):
        console.print(f"  {line}")


def _curve(fit: "FittedPolicy") -> "list[Point]":
    """Points of the curve, thinned evenly; the choice is always among them."""
    every = max(1, len(fit.points) // CURVE)
    return [p for k, p in enumerate(fit.points) if k % every == 0 or p == fit.chosen]


def fit_json(fit: "FittedPolicy") -> dict[str, object]:
    """Describe a fit in plain JSON values."""

    def plain(point: "Point") -> dict[str, object]:
        return {"policy": point.policy.to_dict(), **point.outcome._asdict()}

    def encoded(trial: "PolicyTrial") -> dict[str, object]:
        shares = {"inference_share": trial.inference_share, "lost": trial.lost}
        return {"by_costs": plain(trial.point), "loss": trial.loss, "saving": trial.saving, **shares}

    return {
        "pruner_alone": fit.pruner_alone._asdict() if fit.pruner_alone else None,
        "chosen": plain(fit.chosen),
        "points": [plain(point) for point in fit.points],
        "trials": [encoded(trial) for trial in fit.trials],
    }
