"""Table that the benchmark prints for people."""

from pathlib import Path

from rich.console import Console

from integration.bench.report import arm_cells, columns
from integration.bench.summary import Summary
from toolkit.cli.tables import text_table


def print_bench(report: Summary, page: Path) -> None:
    """Print a benchmark's arms to stdout."""
    # As wide as the table needs: numbers in a folded table cannot be read.
    console = Console(width=max(Console().width, 220), highlight=False, markup=False)
    table = text_table(f"{len(report['clips'])} clips, against {report['anchor']}", *columns(report))
    for arm in report["arms"]:
        table.add_row(*arm_cells(arm))
    console.print(table)
    for arm in report["arms"]:
        if arm["asked"]:
            console.print(f"{arm['name']}: the pruner skipped at {arm['skipped']:,} of {arm['asked']:,} decisions.")
    console.print(
        f"BD-rate on PSNR-Y, worst clip by it; SSIM: BD-rate on that; wall: time saving on the clock. Page: {page}"
    )
