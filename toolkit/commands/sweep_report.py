"""How a sweep ends: the comparison of what is finished, and an error that names what is not."""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from toolkit.commands.compare_tables import print_comparison
from toolkit.errors import ToolkitError
from toolkit.experiments.compare import compare_runs
from toolkit.experiments.report import write_report
from toolkit.experiments.run_reliability import measure_reliability
from toolkit.experiments.sweep import Outcome


def report(folder: Path, data: Path, finished: Sequence[Path], failed: Sequence[Outcome]) -> None:
    """Print and write the comparison of the finished runs; raise ToolkitError where any failed."""
    if finished:
        comparison = compare_runs(finished)
        with Console(stderr=True).status("Scoring the best checkpoints again"):
            calibration = measure_reliability(comparison.runs, data)
        print_comparison(comparison, calibration)
        for path in write_report(comparison, calibration, folder / "report"):
            click.echo(f"Wrote {path}", err=True)
    if failed:
        listed = "\n".join(f"  {outcome.name}: {outcome.failure}" for outcome in failed)
        raise ToolkitError(
            f"{len(failed)} runs failed:\n{listed}\nPut right what they name and give the command again: "
            "finished runs are kept, interrupted ones resumed."
        )
