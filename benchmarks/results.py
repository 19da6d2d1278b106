"""Write a result from a report of `av1part bench encoder`, for a table in the pages.

    python benchmarks/results.py runs/bench/report.json -o NAME --machine "2 shared cores" --pruner photo-8bit

writes `benchmarks/results/NAME.json`. Do so right after the benchmark, in the same working tree: the date is that of
the report's file, and the commit that of the tree. Where the benchmark had more options, such as `--prices`, give its
command by `--command` in place of `--pruner`.

Put `<!-- table NAME -->` and `<!-- end -->` where the page shall have the table,
and run `python benchmarks/tables.py`.
"""

import datetime
import json
import subprocess
from pathlib import Path
from typing import Any

import click
import msgspec
from tables import RESULTS, ROOT, Column, Result
from zoo_card import command_of

from toolkit.files import atomic_write_bytes

COLUMNS = [
    Column("arm"),
    Column("BD-rate", "{:+.2f}%"),
    Column("BD-rate on SSIM", "{:+.2f}%"),
    Column("time saving", "{:.1f}%"),
    Column("under the frontier", "{:+.2f}"),
    Column("to its own preset", "{:.1f}% for {:+.2f}%"),
    Column("worst source"),
]


def commit() -> str | None:
    """The commit of the working tree; None where it is no clone or has changes of its own."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode or done.stdout.strip().endswith("-dirty") else done.stdout.strip()


def rounded(value: float | None, digits: int) -> float | None:
    """A measure with the digits that the table shows."""
    return None if value is None else round(value, digits)


def row(arm: dict[str, Any]) -> list[Any]:
    """The row of one arm, in the order of COLUMNS."""
    native, own, worst = arm["kind"] == "native", arm["own_preset"], arm["worst"]
    return [
        arm["name"],
        rounded(arm["loss"]["akima"], 2),
        rounded(arm["loss_ssim"], 2),
        rounded(arm["saving"], 1),
        rounded(arm["under_frontier"], 2),
        None if native else [rounded(own["saving"], 1), rounded(own["loss"], 2)],
        f"{worst['clip']} {worst['loss']:+.2f}%",
    ]


def result_of(report: dict[str, Any], title: str, command: str, machine: str, date: str | None) -> Result:
    """The result of a report: all arms but the anchor, to which the others are compared."""
    arms = [arm for arm in report["arms"] if arm["name"] != report["anchor"]]
    versions = {"libaom": report["libaom"]}
    return Result(title, [command], machine, versions, date, commit(), COLUMNS, [row(arm) for arm in arms])


@click.command()
@click.argument("report", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", "-o", "name", required=True, help="Name of the result, as in pruner-photographs.")
@click.option("--title", default="", help="What was measured; by default the name.")
@click.option("--pruner", help="The pruner that was measured; the command is that of the report with it.")
@click.option("--command", help="The command that made the report, in place of --pruner.")
@click.option("--machine", required=True, help='Class of the machine, as in "2 shared cores".')
def main(report: Path, name: str, title: str, pruner: str | None, command: str | None, machine: str) -> None:
    """Write the result NAME from REPORT, the report.json of `av1part bench encoder`."""
    if (pruner is None) == (command is None):
        raise click.UsageError("Pass --pruner, or --command with the command that made the report.")
    date = datetime.datetime.fromtimestamp(report.stat().st_mtime, datetime.UTC).date().isoformat()
    read = json.loads(report.read_text())
    result = result_of(read, title or name, command or command_of(read, str(pruner)), machine, date)
    file = RESULTS / f"{name}.json"
    atomic_write_bytes(file, msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    click.echo(f"{file.relative_to(ROOT)}: {len(result.rows)} rows")


if __name__ == "__main__":
    main()
