"""Share of an encode's CPU time in the search of its nodes of one size: the only part that a mask of them can save.

    python benchmarks/node_share.py CLIP... [--cpu-used 1] [--cq 20,32,43,55] [--size WxH] [--node 16]

Prints for each cq the nodes' seconds (as `label --with-costs` records them) as a share of the encode that logged them,
and of an encode that logged nothing. Logging itself takes time, partly within the nodes, so the true share, which
`policy fit --share` takes, lies between.
"""

import time
from pathlib import Path

import click
from rich.console import Console

from integration.codec.encoder import Encoder, EncoderConfig
from integration.media.raw import parse_size
from integration.media.video import Clip, open_clip
from toolkit.cli.options import numbers
from toolkit.cli.tables import text_table
from toolkit.partition import NODE


def code(clip: Clip, cq: int, cpu_used: int, node: int | None) -> tuple[float, float]:
    """CPU seconds of an encode, and those within its nodes of the size that is logged, 0 where none is."""
    with Encoder(EncoderConfig(clip.width, clip.height, clip.bit_depth, cq, cpu_used)) as encoder:
        if node:
            encoder.log_costs(node)
        before = time.process_time()
        frames = [encoder.encode(planes) for planes in clip.frames()]
        seconds = time.process_time() - before
    return seconds, sum(float(costs["seconds"].sum()) for frame in frames for costs in frame.costs.values())


@click.command()
@click.argument("clips", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--cpu-used", default=1, show_default=True)
@click.option("--cq", default="20,32,43,55", show_default=True, callback=numbers)
@click.option("--size", help="Shrink to fit WxH.")
@click.option("--node", default=NODE, show_default=True, help="Side of the nodes.")
def main(clips: tuple[Path, ...], cpu_used: int, cq: tuple[int, ...], size: str | None, node: int) -> None:
    """Print the share of CPU time within the nodes."""
    opened = [open_clip(path, parse_size(size) if size else None, 1) for path in clips]
    title = f"{node}x{node} nodes, cpu-used {cpu_used}, {len(clips)} clips"
    table = text_table(title, "cq", "of a logged encode", "of one not logged")
    sums = []
    for level in cq:
        pairs = [(code(clip, level, cpu_used, None)[0], *code(clip, level, cpu_used, node)) for clip in opened]
        free, logged, nodes = (sum(column) for column in zip(*pairs, strict=True))
        table.add_row(str(level), f"{nodes / logged:.2f}", f"{nodes / free:.2f}")
        sums.append((free, logged, nodes))
    free, logged, nodes = (sum(column) for column in zip(*sums, strict=True))
    table.add_row("all", f"{nodes / logged:.2f}", f"{nodes / free:.2f}")
    Console(width=100, highlight=False).print(table)


if __name__ == "__main__":
    main()
