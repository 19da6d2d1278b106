"""Where the CPU time of an encode goes, and how much of it perfect decisions could save.

    python benchmarks/search_share.py PHOTO... --usage allintra --cpu-used 6 --size 1792x1200 [--pruner NAME]

Every photograph is coded plainly, with its search recorded, and twice more under masks of all node sizes that forbid
what the plain encode did not choose: once they leave the choice alone, once NONE as well. The second is the most that a
pruner can reach, because all of its decisions are taken after NONE. Prints for each chroma and tune the shares of the
plain encode's CPU seconds: in the search of squares, by stage and by side, and outside of it (analysis of the source,
filters, final coding); then what the two oracles and the pruner save, and the bits that they add at the same cq.
Recording takes time itself, so the recorded seconds are scaled to the plain encode's, all outside the search taken as
unchanged by it.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from integration import zoo
from integration.codec.config import NODE_SIZES, EncoderConfig
from integration.codec.encoded_frame import EncodedFrame
from integration.codec.encoder import Encoder
from integration.codec.masks import Masks
from integration.media.raw import parse_size
from integration.media.video import open_clip
from integration.pipeline.policy import bits
from integration.pruning.bundle import PrunerBundle
from toolkit.cli.options import numbers
from toolkit.partition import HORZ, HORZ_4, HORZ_A, HORZ_B, NONE, VERT, VERT_4, VERT_A, VERT_B
from toolkit.search.table import STAGES

DIRECTION = dict.fromkeys((HORZ_A, HORZ_B, HORZ_4), HORZ) | dict.fromkeys((VERT_A, VERT_B, VERT_4), VERT)
SEARCHES = ("plain", "choice", "choice and NONE", "pruner")
STAGE_GROUPS = {
    "NONE": ("none",),
    "SPLIT itself": ("split",),
    "HORZ, VERT": ("rect",),
    "ABs, 4-way": STAGES[3:],
}
SIDE_GROUPS = {"8": (8,), "16": (16,), "32": (32,), "64 and 128": (64, 128)}
"""Columns of the table: what each sums. A 64x64 square that libaom only splits has its time booked at 128x128."""


def masks_of(labels: dict[int, NDArray[np.uint8]], keep: int) -> Masks:
    """Masks that leave each node its label, the rectangle that libaom needs to search it, and the partitions `keep`."""
    table = np.zeros(256, np.uint16)
    for label in range(VERT_4 + 1):
        table[label] = bits(label, DIRECTION.get(label, label)) | keep
    return {side: table[own] for side, own in labels.items()}


def code(
    planes: Any, config: EncoderConfig, masks: Masks | None = None, pruner: PrunerBundle | None = None
) -> tuple[EncodedFrame, float]:
    """The frame, and the CPU seconds that it took, opening the encoder not counted."""
    with Encoder(config) as encoder:
        if pruner:
            encoder.set_pruner(pruner.data, pruner.price, pruner.most)
        before = time.process_time()
        frame = encoder.encode(planes, masks)
        return frame, time.process_time() - before


def recorded(planes: Any, config: EncoderConfig) -> tuple[NDArray[Any], float]:
    """Rows of the search, and the CPU seconds of the encode that recorded them."""
    with Encoder(config) as encoder:
        encoder.record_search(1.0)
        before = time.process_time()
        encoder.encode(planes)
        return encoder.search_rows(), time.process_time() - before


def by_place(rows: NDArray[Any]) -> Iterator[tuple[str, float]]:
    """Seconds of the squares' own search by stage and by side, their quarters' not counted twice."""
    own = rows["seconds"].astype(np.float64)
    inside = rows["parent"] >= 0
    split = STAGES.index("split")
    np.subtract.at(own[:, split], rows["parent"][inside], rows["seconds"][inside].sum(axis=1, dtype=np.float64))
    for name, stages in STAGE_GROUPS.items():
        yield name, float(own[:, [STAGES.index(stage) for stage in stages]].sum())
    for name, sides in SIDE_GROUPS.items():
        yield name, float(own[np.isin(rows["side"], sides)].sum())
    yield "search", float(own.sum())


def measure(planes: Any, config: EncoderConfig, pruner: PrunerBundle | None, repeats: int) -> Counter[str]:
    """Seconds by place and by kind of search, and bits by kind of search."""
    found: Counter[str] = Counter()
    for _ in range(repeats):
        frame, seconds = code(planes, config)
        rows, slower = recorded(planes, config)
        places = dict(by_place(rows))
        scale = max(places["search"] - (slower - seconds), 0.0) / places["search"]
        found.update({name: scale * own for name, own in places.items()})
        labels = {side: frame.labels[side] for side in NODE_SIZES}
        coded = {"plain": (frame, seconds)}
        for name, keep in (("choice", 0), ("choice and NONE", bits(NONE))):
            coded[name] = code(planes, config, masks_of(labels, keep))
        if pruner:
            coded["pruner"] = code(planes, config, pruner=pruner)
        for name, (own, took) in coded.items():
            found[name] += took
            found[f"{name} bits"] += 8 * len(own.data)
    return found


def row(name: str, found: Counter[str]) -> str:
    """A row of the table."""
    whole, size = found["plain"], found["plain bits"]
    cells = [f"{100 * found[place] / whole:.0f}%" for place in ("search", *STAGE_GROUPS, *SIDE_GROUPS)]
    for kind in SEARCHES[1:]:
        saved, more = 100 * (1 - found[kind] / whole), 100 * (found[f"{kind} bits"] / size - 1)
        cells.append(f"{saved:.0f}%, {more:+.2f}%" if found[kind] else "")
    return f"| {name} | {whole:.1f} | {' | '.join(cells)} |"


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--cpu-used", default=6, show_default=True)
@click.option("--usage", default="allintra", show_default=True)
@click.option("--cq", default="20,32,43", show_default=True, callback=numbers)
@click.option("--size", default="1792x1200", show_default=True, help="Shrink to fit WxH.")
@click.option("--chromas", default="444,420", show_default=True, callback=numbers)
@click.option("--tunes", default="psnr,iq", show_default=True)
@click.option("--pruner", help="A folder, or a name of `av1part zoo`.")
@click.option("--repeats", default=2, show_default=True)
def main(
    photos: tuple[Path, ...],
    cpu_used: int,
    usage: str,
    cq: tuple[int, ...],
    size: str,
    chromas: tuple[int, ...],
    tunes: str,
    pruner: str | None,
    repeats: int,
) -> None:
    """Print the table, summed over PHOTOS, cqs and repeats."""
    bundle = PrunerBundle.load(zoo.find(Path(pruner))) if pruner else None
    heads = ["seconds", "in squares", *STAGE_GROUPS, *SIDE_GROUPS, *(f"{kind}: saved, bits" for kind in SEARCHES[1:])]
    click.echo(f"| | {' | '.join(heads)} |\n|---|{'---:|' * len(heads)}")
    for chroma in chromas:
        for tune in tunes.split(","):
            found: Counter[str] = Counter()
            for photo in photos:
                clip = open_clip(photo, parse_size(size), chroma=chroma)
                planes = next(iter(clip.frames()))
                config = EncoderConfig(
                    clip.width, clip.height, clip.bit_depth, cpu_used=cpu_used, usage=usage, tune=tune, chroma=chroma
                )
                for level in cq:
                    found.update(measure(planes, replace(config, cq=level), bundle, repeats))
            click.echo(row(f"{chroma}, {tune}", found))


if __name__ == "__main__":
    main()
