"""What a pruner's deciding costs: the same encode without it, and with it at a price at which it never skips.

Both streams are equal byte for byte, so that the difference in CPU time is that of features and trees alone. Arms are
interleaved; the ratio of each round's times is printed with its quartiles.
"""

import time
from pathlib import Path

import click
import numpy as np

from integration import zoo
from integration.codec.config import EncoderConfig
from integration.codec.encoder import Encoder
from integration.media.planes import Planes
from integration.media.raw import parse_size
from integration.media.video import open_clip
from integration.pruning.bundle import PrunerBundle
from integration.pruning.encoder import use_pruner


def encode(planes: Planes, config: EncoderConfig, pruner: PrunerBundle | None) -> tuple[bytes, float, int]:
    """Stream, CPU seconds and decisions asked of one encode; the pruner never skips."""
    with Encoder(config) as encoder:
        if pruner:
            use_pruner(encoder, pruner, 1e-30)
        before = time.process_time()
        data = encoder.encode(planes).data
        seconds = time.process_time() - before
        return data, seconds, int(encoder.decisions()[0].sum())


@click.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--pruner", "path", type=click.Path(path_type=Path), default=Path("photo-8bit"), show_default=True)
@click.option("--size", default="640x360", show_default=True, help="Shrink to fit WxH.")
@click.option("--cq", default=32, show_default=True)
@click.option("--cpu-used", default=2, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(picture: Path, path: Path, size: str, cq: int, cpu_used: int, rounds: int) -> None:
    """Print CPU seconds without and with deciding, decisions, and the share that deciding takes."""
    planes = next(iter(open_clip(picture, parse_size(size)).frames()))
    height, width = planes[0].shape
    config = EncoderConfig(width, height, cq=cq, cpu_used=cpu_used, four_way=True)
    pruner = PrunerBundle.load(zoo.find(path))
    times = []
    for _ in range(rounds):
        plain, decided = encode(planes, config, None), encode(planes, config, pruner)
        if plain[0] != decided[0]:
            raise click.ClickException("The streams differ: the pruner skipped something.")
        times.append((plain[1], decided[1]))
        asked = decided[2]
    ratios = np.array([b / a for a, b in times])
    low, middle, high = 100 * (np.percentile(ratios, (25, 50, 75)) - 1)
    plain_seconds = np.median([a for a, _ in times])
    click.echo(f"{width}x{height}, cq {cq}, cpu-used {cpu_used}: {plain_seconds:.2f} CPU s, {asked:,} decisions")
    click.echo(f"deciding: {middle:+.1f}% of the encode ({low:+.1f} to {high:+.1f}), "
               f"{1e6 * middle / 100 * plain_seconds / asked:.1f} us a decision, features included")  # fmt: skip


if __name__ == "__main__":
    main()
