"""Cost of a perfect mask, kind by kind: BD-rate lost by removing partitions that libaom would not have chosen.

    python benchmarks/oracle_cost.py CLIP... --cpu-used 1 [--cq 20,32,43,55] [--size WxH]

Every clip is first coded without masks. Its labels then tell, for each 16x16 node, what can be removed without
forbidding the choice. Each arm removes one kind of partition, the last ones nearly all. If libaom's searches were
independent of each other, every arm would give the same stream. Prints for each arm BD-rate (PSNR-Y, Akima, mean over
clips) and CPU time saved against the unmasked preset, the share of nodes that the mask affects, and the share of nodes
that now choose differently. 4-way partitions are off: no arm is about them.
"""

import time
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from integration.bench.bd import Curve, bd_rate, time_saving
from integration.codec.encoder import Encoder, EncoderConfig, Mask
from integration.encoding.encode import code_clip
from integration.media.raw import parse_size
from integration.media.video import Clip, open_clip
from integration.pipeline.policy import ALL, bits
from toolkit.cli.options import numbers
from toolkit.cli.tables import text_table
from toolkit.partition import HORZ, HORZ_A, HORZ_B, INSIDE_LARGER, NODE, NONE, SPLIT, VERT, VERT_A, VERT_B

AB, RECT = (HORZ_A, HORZ_B, VERT_A, VERT_B), (HORZ, VERT)
DIRECTION = {HORZ: HORZ, HORZ_A: HORZ, HORZ_B: HORZ, VERT: VERT, VERT_A: VERT, VERT_B: VERT}
Rule = dict[int, int]
"""Mask by label of a node; nodes with another label stay unrestricted."""


def without(gone: tuple[int, ...], *labels: int) -> Rule:
    """Rule that removes the partitions `gone` where one of these labels was chosen."""
    return {label: ALL & ~bits(*gone) for label in labels}


def only_label(keep: tuple[int, ...] = ()) -> Rule:
    """Rule that keeps the label, the rectangle that libaom needs to search an AB, and the partitions `keep`."""
    return {label: bits(label, DIRECTION.get(label, label), *keep) for label in range(VERT_B + 1)}


FULL = only_label()
STAGE_2 = (
    {SPLIT: bits(NONE, SPLIT)}
    | dict.fromkeys(RECT, bits(NONE, *RECT))
    | dict.fromkeys(AB, bits(NONE, SPLIT, *RECT, *AB))
)
ARMS: dict[str, Rule] = {
    "no AB at NONE": without(AB, NONE),
    "no AB at RECT": without(AB, *RECT),
    "no AB at SPLIT": without(AB, SPLIT),
    "no RECT, AB at NONE": without((*RECT, *AB), NONE),
    "no RECT, AB at SPLIT": without((*RECT, *AB), SPLIT),
    "no SPLIT at NONE": without((SPLIT,), NONE),
    "no SPLIT at RECT": without((SPLIT,), *RECT),
    "no SPLIT at AB": without((SPLIT,), *AB),
    "no NONE at SPLIT": without((NONE,), SPLIT),
    "no NONE at RECT": without((NONE,), *RECT),
    "no NONE at AB": without((NONE,), *AB),
    "other direction gone at RECT": {
        HORZ: ALL & ~bits(VERT, VERT_A, VERT_B),
        VERT: ALL & ~bits(HORZ, HORZ_A, HORZ_B),
    },
    "other direction gone at AB": {
        label: ALL & ~(bits(VERT, VERT_A, VERT_B) if label in (HORZ_A, HORZ_B) else bits(HORZ, HORZ_A, HORZ_B))
        for label in AB
    },
    "other AB gone at AB": {label: ALL & ~bits(*(k for k in AB if k != label)) for label in AB},
    "only the label": FULL,
    "only the label and NONE": only_label((NONE,)),
    "only the label, AB nodes free": {label: kept for label, kept in FULL.items() if label not in AB},
    "only the label, AB keeps NONE and SPLIT": FULL | {k: FULL[k] | bits(NONE, SPLIT) for k in AB},
    "only the label, AB keeps NONE, SPLIT, RECT": FULL | {k: FULL[k] | bits(NONE, SPLIT, *RECT) for k in AB},
    "Stage 1: NONE alone": {NONE: bits(NONE)},
    "Stage 1: NONE alone, or gone": {NONE: bits(NONE)} | without((NONE,), SPLIT, *RECT, *AB),
    "Stage 2, AB keeps its inputs": STAGE_2,
    "Stage 2 with SPLIT everywhere": {label: kept | bits(SPLIT) for label, kept in STAGE_2.items()},
    "Stages 1 and 2": STAGE_2 | {NONE: bits(NONE)},
    "Stages 1 and 2 with SPLIT everywhere": {NONE: bits(NONE, SPLIT)}
    | {label: kept | bits(SPLIT) for label, kept in STAGE_2.items()},
}


class Coded(NamedTuple):
    """Result of one encode, of a clip at a cq: bytes, PSNR-Y, CPU seconds, labels, share of nodes masked."""

    size: int
    psnr: float
    seconds: float
    labels: NDArray[np.uint8]
    touched: float


def code(clip: Clip, cq: int, cpu_used: int, masks: list[Mask] | None = None) -> Coded:
    labels: list[NDArray[np.uint8]] = []
    with Encoder(EncoderConfig(clip.width, clip.height, clip.bit_depth, cq, cpu_used, four_way=False)) as encoder:
        report = code_clip(clip, encoder, lambda count, frame: labels.append(frame.labels[NODE]), masks)
    found = np.stack(labels)
    assert report.psnr_y is not None
    return Coded(report.bytes, report.psnr_y, report.encode_seconds, found, report.masked_nodes / found.size)


def masks_of(labels: NDArray[np.uint8], rule: Rule) -> list[Mask]:
    table = np.zeros(256, np.uint16)
    for label, kept in rule.items():
        table[label] = kept
    return list(table[labels])


@click.command()
@click.argument("clips", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--cpu-used", default=1, show_default=True)
@click.option("--cq", default="20,32,43,55", show_default=True, callback=numbers)
@click.option("--size", help="Shrink to fit WxH.")
def main(clips: tuple[Path, ...], cpu_used: int, cq: tuple[int, ...], size: str | None) -> None:
    """Print the cost of removing partitions that were not chosen."""
    opened = [open_clip(path, parse_size(size) if size else None, 1) for path in clips]
    arms: dict[str, dict[tuple[int, int], Coded]] = {"native": {}, **{name: {} for name in ARMS}}
    start = time.perf_counter()
    for number, clip in enumerate(opened):
        for level in cq:
            free = arms["native"][number, level] = code(clip, level, cpu_used)
            for name, rule in ARMS.items():
                arms[name][number, level] = code(clip, level, cpu_used, masks_of(free.labels, rule))
    native = arms.pop("native")
    columns = ("arm", "BD-rate", "worst clip", "time saving", "touched", "chose differently")
    table = text_table(f"cpu-used {cpu_used}, {len(clips)} clips, cq {','.join(map(str, cq))}", *columns)
    for name, coded in arms.items():
        losses = [
            bd_rate(*(Curve([s[n, c].size for c in cq], [s[n, c].psnr for c in cq]) for s in (native, coded)))
            for n in range(len(opened))
        ]
        saving = time_saving([c.seconds for c in native.values()], [c.seconds for c in coded.values()])
        known = [native[key].labels != INSIDE_LARGER for key in native]
        changed = [(coded[key].labels != native[key].labels)[k] for key, k in zip(native, known, strict=True)]
        table.add_row(
            name,
            f"{fmean(losses):+.2f}%",
            f"{max(losses):+.2f}%",
            f"{saving:+.1f}%",
            f"{fmean(c.touched for c in coded.values()):.1%}",
            f"{np.concatenate(changed).mean():.2%}",
        )
    Console(width=120, highlight=False).print(table)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
