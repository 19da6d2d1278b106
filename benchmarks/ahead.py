"""Does work ahead of the encoder pay? One encode with it and without, in turns, on the clock.

    python benchmarks/ahead.py CLIP --pipeline PIPE [--size WxH] [--frames N] [--cpu-used 1] [--repeats 5]

Printed per depth: the median time of a whole encode on the clock with its spread, its ratio to no work ahead (median of
the turns' own ratios), CPU seconds, and how many masks were ready. The streams are compared too: they have to be equal.
Ratios from a machine whose cores are taken say little: the load average is printed.
"""

import os
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click
from rich.console import Console

from integration.encoding.config import EncodeConfig
from integration.encoding.encode import Report, encode_file
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.pipeline_set import Levels
from toolkit.cli.tables import text_table


@click.command()
@click.argument("clip", type=click.Path(exists=True, path_type=Path))
@click.option("--pipeline", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--size", default="320x240", show_default=True)
@click.option("--frames", default=6, show_default=True)
@click.option("--cq", default=32, show_default=True)
@click.option("--cpu-used", default=1, show_default=True)
@click.option("--repeats", default=5, show_default=True)
@click.option(
    "--depths", default="0,1,2,4", show_default=True, help="Frames ahead; the first is what others are held to."
)
def main(clip: Path, pipeline: Path, size: str, frames: int, cq: int, cpu_used: int, repeats: int, depths: str) -> None:
    """Encode in turns and print the table."""
    loaded = Levels([Pipeline.load(pipeline, threads=1)])
    found: dict[int, list[Report]] = {int(depth): [] for depth in depths.split(",")}
    streams = set()
    with TemporaryDirectory() as folder:
        for _ in range(repeats):
            for depth, reports in found.items():
                settings = EncodeConfig(
                    cq=cq, cpu_used=cpu_used, size=size, frames=frames, ahead=depth, any_settings=True
                )
                output = Path(folder) / "out.obu"
                reports.append(encode_file(clip, output, settings, loaded))
                streams.add(output.read_bytes())
    first = next(iter(found.values()))
    columns = ["wall (s)", "spread (s)", "ratio", "encoding (CPU s)", "inference (CPU s)", "reading (CPU s)"]
    table = text_table("Work ahead of the encoder", "frames ahead", *columns, "masks ready")
    for depth, reports in found.items():
        walls = [r.total_seconds for r in reports]
        ratio = median(r.total_seconds / base.total_seconds for r, base in zip(reports, first, strict=True))
        cpu = (median(getattr(r, f"{kind}_seconds") for r in reports) for kind in ("encode", "inference", "reading"))
        ready = f"{reports[0].masks_ahead} of {reports[0].frames}"
        spread = f"{min(walls):.2f} to {max(walls):.2f}"
        table.add_row(str(depth), f"{median(walls):.2f}", spread, f"{ratio:.2f}", *(f"{s:.2f}" for s in cpu), ready)
    Console(soft_wrap=True).print(table)
    click.echo(f"streams equal: {len(streams) == 1}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
