"""Table that the benchmark prints for people."""

from pathlib import Path

from rich.console import Console

from integration.bench.report import arm_cells, columns
from integration.bench.summary import Summary
from toolkit.cli.tables import print_table, text_table


def print_bench(report: Summary, page: Path) -> None:
    """Print a benchmark's arms to stdout."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    table = text_table(f"{len(report['clips'])} clips, against {report['anchor']}", *columns(report))
    for arm in report["arms"]:
        table.add_row(*arm_cells(arm))
    print_table(console, table)
    for arm in report["arms"]:
        if arm["asked"]:
            console.print(f"{arm['name']}: the pruner skipped at {arm['skipped']:,} of {arm['asked']:,} decisions.")
    console.print(
        f"BD-rate on PSNR-Y, worst clip by it; SSIM: BD-rate on that; wall: time saving on the clock. Page: {page}"
    )
