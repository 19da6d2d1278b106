"""`av1part compare`: runs side by side."""

import json
from pathlib import Path

import click

from toolkit.folders import RUN, check_folder


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", "report", type=click.Path(path_type=Path), help="Write REPORT.html and REPORT.md.")
@click.option("--data", type=click.Path(path_type=Path), help="Data set of the runs, if it has moved.")
@click.option(
    "--calibration/--no-calibration",
    default=True,
    show_default=True,
    help="Score the best checkpoints for their calibration.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compare(runs: tuple[Path, ...], report: Path | None, data: Path | None, calibration: bool, as_json: bool) -> None:
    """Compare RUNs of one stage and data set: ranking, forgetting, convergence, wall time, calibration, curves.

    Runs that differ in the seed alone form a group. Of every two groups it says whether their difference exceeds that
    of the seeds.
    """
    for run in runs:
        check_folder(run, RUN)
    from rich.console import Console

    from toolkit.commands.compare_tables import print_comparison
    from toolkit.experiments.compare import compare_runs
    from toolkit.experiments.report import write_report
    from toolkit.experiments.run_reliability import measure_reliability

    found = compare_runs(runs)
    with Console(stderr=True).status("Scoring the best checkpoints again"):
        reliability = measure_reliability(found.runs, data) if calibration else {}
    if as_json:
        measured = {str(path): run.metrics for path, run in reliability.items()}
        click.echo(json.dumps({**found.to_dict(), "calibration": measured}))
    else:
        print_comparison(found, reliability)
    for path in write_report(found, reliability, report) if report else ():
        click.echo(f"Wrote {path}", err=True)
