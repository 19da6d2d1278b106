"""What features of motion and time are worth to a pruner of inter frames, and more clips, offline.

    python benchmarks/pruner_motion.py RECORD

As in pruner_features.py: a row a set of features, the same trees, learnt on the training split and judged on the
validation one. Each group is added alone to what key frames know as well, then all are, then all with those of motion
and time dealt out anew between the nodes of a size: a control that must lose. The last rows learn from some of the
clips, with all features.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from pruner_features import table_head, table_row

from toolkit.pruners.learn import LearnConfig, learn
from toolkit.pruners.record import RecordedFrame, SearchSet
from toolkit.search.table import FEATURES, SIDES, TABLES

OF_BOTH = tuple(feature.name for feature in TABLES["key"])
MOTION = tuple(feature.name for feature in FEATURES if feature not in TABLES["key"])
GROUPS = {
    "frame": ("frame_",),
    "the reference's partitions": ("reference_", "none_reference"),
    "the temporal model": ("tpl_",),
    "simple motion search": ("simple_",),
    "NONE's motion and distortion": ("none_intra", "none_compound", "none_new", "none_motion", "none_distortion"),
}
"""Beginnings of the names of each group's features."""


def sets_of() -> dict[str, tuple[str, ...]]:
    """Names of the features of each set."""
    alone = {f"and {group}": tuple(n for n in MOTION if n.startswith(begins)) for group, begins in GROUPS.items()}
    return {
        "what key frames know as well": OF_BOTH,
        **{name: (*OF_BOTH, *own) for name, own in alone.items()},
        "all": (*OF_BOTH, *MOTION),
    }


def permuted(frame: RecordedFrame, rng: np.random.Generator) -> RecordedFrame:
    """The frame with its features of motion and time dealt out anew among the nodes of each size."""
    rows = frame.rows.copy()
    columns = [i for i, feature in enumerate(FEATURES) if feature.name in MOTION]
    for side in SIDES:
        own = np.flatnonzero(rows["side"] == side)
        rows["features"][np.ix_(own, columns)] = rows["features"][np.ix_(rng.permutation(own), columns)]
    return replace(frame, rows=rows)


def by_clip(sources: Sequence[str], frames: Sequence[RecordedFrame]) -> dict[str, list[RecordedFrame]]:
    """Frames of these sources by clip, behind whose name `benchmarks/video_segments.py` numbers the segments."""
    found: dict[str, list[RecordedFrame]] = {}
    for source, frame in zip(sources, frames, strict=True):
        found.setdefault(source.rpartition("-")[0], []).append(frame)
    return found


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--trees", default=20, show_default=True)
@click.option("--every", default=1, show_default=True, help="Learn from every Nth frame alone.")
@click.option("--clips", default=(6, 12), multiple=True, show_default=True, help="Besides all.")
@click.option("--price", "prices", multiple=True, type=float, default=(0.1,), show_default=True)
def main(record: Path, trees: int, every: int, clips: tuple[int, ...], prices: tuple[float, ...]) -> None:
    """Print one Markdown table."""
    data = SearchSet.load(record)
    train, val = list(data.frames("train"))[::every], list(data.frames("val"))
    click.echo(table_head(prices))
    for name, names in sets_of().items():
        pruner = learn(train, data.features, LearnConfig(model="trees", trees=trees, features=names))
        click.echo(table_row(name, pruner, val, prices))
    rng = np.random.default_rng(0)
    click.echo(
        table_row(
            "all, those of motion and time dealt out anew", pruner, [permuted(frame, rng) for frame in val], prices
        )
    )
    grouped = by_clip(
        [str(data.manifest["sources"][e.source]["name"]) for e in data.entries_of("train")][::every], train
    )
    order = np.random.default_rng(0).permutation(sorted(grouped))
    for count in clips:
        some = [frame for name in order[:count] for frame in grouped[name]]
        pruner = learn(some, data.features, LearnConfig(model="trees", trees=trees))
        click.echo(table_row(f"all, from {count} of {len(grouped)} clips", pruner, val, prices))


if __name__ == "__main__":
    main()
