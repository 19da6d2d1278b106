"""How much of an encode's CPU time goes into the search of 16x16 nodes: the only part that a mask can save.

    python benchmarks/node_share.py CLIP... [--cpu-used 1] [--cq 20,32,43,55] [--size WxH]

Printed per cq: the nodes' seconds (`label --with-costs` records them) as a share of the encode that logged them and of
one that did not. Logging takes time itself, partly within the nodes: the truth lies between. `policy fit --share` takes
it.
"""

import time
from pathlib import Path

import click
from rich.console import Console

from integration.codec.encoder import Encoder, EncoderConfig
from integration.media.video import Clip, open_clip, parse_size
from toolkit.cli.options import numbers
from toolkit.cli.tables import text_table


def code(clip: Clip, cq: int, cpu_used: int, log: bool) -> tuple[float, float]:
    """CPU seconds of an encode, and those within its 16x16 nodes where they are logged."""
    with Encoder(EncoderConfig(clip.width, clip.height, clip.bit_depth, cq, cpu_used)) as encoder:
        if log:
            encoder.log_costs()
        before = time.process_time()
        frames = [encoder.encode(planes) for planes in clip.frames()]
        seconds = time.process_time() - before
    return seconds, sum(float(f.costs["seconds"].sum()) for f in frames if f.costs is not None)


@click.command()
@click.argument("clips", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--cpu-used", default=1, show_default=True)
@click.option("--cq", default="20,32,43,55", show_default=True, callback=numbers)
@click.option("--size", help="Shrink to fit WxH.")
def main(clips: tuple[Path, ...], cpu_used: int, cq: tuple[int, ...], size: str | None) -> None:
    """Share of CPU time within 16x16 nodes."""
    opened = [open_clip(path, parse_size(size) if size else None, 1) for path in clips]
    table = text_table(f"cpu-used {cpu_used}, {len(clips)} clips", "cq", "of a logged encode", "of one not logged")
    sums = []
    for level in cq:
        pairs = [(code(clip, level, cpu_used, False)[0], *code(clip, level, cpu_used, True)) for clip in opened]
        free, logged, nodes = (sum(column) for column in zip(*pairs, strict=True))
        table.add_row(str(level), f"{nodes / logged:.2f}", f"{nodes / free:.2f}")
        sums.append((free, logged, nodes))
    free, logged, nodes = (sum(column) for column in zip(*sums, strict=True))
    table.add_row("all", f"{nodes / logged:.2f}", f"{nodes / free:.2f}")
    Console(width=100, highlight=False).print(table)


if __name__ == "__main__":
    main()
