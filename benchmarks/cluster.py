"""Labelling by the workers of a Dask cluster on this machine, against one process.

    python benchmarks/cluster.py

Tiny pieces, 200 by default, are coded by one process and by the workers in turn. Printed are both wall times, the load
average, and the ratio of the times, which on shared cores means little.
"""

import logging
import os
import tempfile
import time
from pathlib import Path

import click
from distributed import LocalCluster
from labelling import photographs, spread

from integration.recording.config import LabelConfig
from integration.recording.label import label
from toolkit.cluster import Cluster


@click.command()
@click.option("--photographs", "count", default=20, show_default=True)
@click.option("--levels", default=10, show_default=True, help="Number of cqs; a photograph at one is a piece.")
@click.option("--size", nargs=2, default=(128, 128), show_default=True)
@click.option("--workers", default=4, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(count: int, levels: int, size: tuple[int, int], workers: int, rounds: int) -> None:
    """Print the measurements as Markdown."""
    config = LabelConfig(cq=tuple(range(63 - levels, 63)), size=None, split="train", jobs=1)
    ratios = []
    print("| coded by | wall | load average |\n|---|---|---|")
    with (
        tempfile.TemporaryDirectory() as name,
        LocalCluster(  # type: ignore[no-untyped-call]
            workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
        ) as local,
    ):
        folder = Path(name)
        paths = photographs(folder, count, size)
        for number in range(rounds):
            wall = {}
            for where in (None, local.scheduler_address) if number % 2 == 0 else (local.scheduler_address, None):
                cluster = Cluster(where) if where else None
                began = time.perf_counter()
                label(paths, folder / f"set-{number}-{bool(where)}", config, cluster=cluster)
                wall[where] = time.perf_counter() - began
                by = f"{workers} workers" if where else "1 process"
                print(f"| {by} | {wall[where]:.1f} s | {os.getloadavg()[0]:.1f} |", flush=True)
            ratios.append(wall[None] / wall[local.scheduler_address])
    pieces = count * levels
    print(f"\n{pieces} pieces of {size[0]}x{size[1]}: {spread(ratios)} times as fast by {workers} workers")


if __name__ == "__main__":
    main()
