"""Whether work ahead of the encoder pays: wall times of one encode with it and without, in turns.

    python benchmarks/ahead.py CLIP --pipeline PIPE [--size WxH] [--frames N] [--cpu-used 1] [--repeats 5]

Prints for each depth the median wall time of a whole encode with its spread, its ratio to the first depth (median of
the ratios within a turn), CPU seconds, and the number of masks that were ready. The streams are compared as well: they
have to be equal. The load average is printed because ratios from a busy machine mean little.
"""

import os
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click
from rich.console import Console

from integration.encoding.config import EncodeConfig
from integration.encoding.encode import Report, encode_file
from integration.media.raw import parse_size
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.pipeline_set import PipelineSet
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
    "--depths", default="0,1,2,4", show_default=True, help="Numbers of frames ahead; ratios are to the first."
)
def main(clip: Path, pipeline: Path, size: str, frames: int, cq: int, cpu_used: int, repeats: int, depths: str) -> None:
    """Encode in turns and print the table."""
    loaded = PipelineSet([Pipeline.load(pipeline, threads=1)])
    found: dict[int, list[Report]] = {int(depth): [] for depth in depths.split(",")}
    streams = set()
    with TemporaryDirectory() as folder:
        for _ in range(repeats):
            for depth, reports in found.items():
                settings = EncodeConfig(
                    cq=cq, cpu_used=cpu_used, size=parse_size(size), frames=frames, ahead=depth, any_settings=True
                )
                output = Path(folder) / "out.obu"
                reports.append(encode_file(clip, output, settings, loaded, overwrite=True))
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
