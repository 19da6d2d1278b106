"""Make the pruners in the box again, from the pictures and clips that they learnt from, and say what differs.

    python benchmarks/rebuild_zoo.py FOLDER -o OUT [--name photo-8bit]

RECIPES has how each is made. Those of photographs learn from the same ones, and split them alike; `video-8bit` learns
from segments of clips, which `benchmarks/video_segments.py` cuts. All are found below FOLDER by their sha256.
`photo-allintra-6` learns from its photographs in several codings: each small one in two of 4:4:4 and 4:2:0 with tune
psnr and iq, each large one in all four, at 1.8 or 2.7 megapixels beside 768x512. Its manifest has them.

Measured times are part of what is learnt, so that a pruner made again is alike, not equal to the byte. Takes about half
an hour a pruner on 2 cores. Records stay in OUT/records, so that a run that was stopped goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from integration import zoo
from integration.codec.config import CHROMAS
from integration.media.raw import parse_size
from integration.pruning.bundle import PrunerBundle
from integration.pruning.config import FitConfig
from integration.pruning.fit import fit_pruner
from integration.recording.config import RecordConfig
from integration.recording.record import record
from toolkit.files import canonical_json, sha256_file
from toolkit.pruners.merge import merge_records
from toolkit.pruners.record import SearchSet
from toolkit.pruners.record_format import Coded


@dataclass(frozen=True)
class Recipe:
    """How a pruner is made of its photographs."""

    record: RecordConfig
    fit: FitConfig


_RECORD = RecordConfig(size=(768, 512), share=1.0)
_FIT = FitConfig()
# Prices were chosen by encodes of twelve photographs of the validation split (docs/benchmarks.md).
RECIPES = {
    "photo-8bit": Recipe(replace(_RECORD, cpu_used=2), replace(_FIT, price=0.03)),
    "photo-allintra": Recipe(replace(_RECORD, cpu_used=4, usage="allintra"), replace(_FIT, price=0.06)),
    "photo-allintra-6": Recipe(replace(_RECORD, cpu_used=6, usage="allintra"), replace(_FIT, price=0.1)),
    "video-8bit": Recipe(RecordConfig(size=None, cpu_used=3, keyint=240, lag=35), replace(_FIT, price=0.1)),
}

Source = dict[str, Any]
"""A photograph or segment as a pruner's manifest names it: name, sha256, split, licence, origin."""


def sources(name: str) -> list[Source]:
    """What a pruner in the box has learnt from, was judged and proven on."""
    return list(PrunerBundle.load(zoo.find(Path(name))).manifest["learnt"]["sources"])


def files_of(wanted: Sequence[Source], folder: Path) -> list[Path]:
    """Files of the sources, in their order; a usage error where one is not below the folder."""
    by_hash = {sha256_file(path): path for path in sorted(folder.rglob("*")) if path.is_file()}
    if missing := [s["name"] for s in wanted if s["sha256"] not in by_hash]:
        raise click.UsageError(f"{folder}: {len(missing)} of {len(wanted)} sources are not there, as {missing[0]}.")
    return [by_hash[s["sha256"]] for s in wanted]


def make(recipe: Recipe, wanted: Sequence[Source], folder: Path, output: Path, data: Path) -> PrunerBundle:
    """Record the sources below `folder` in `data`, unless they are there already, and fit the pruner `output`.

    Sources with settings of their own (`coded`) are recorded with these, all that share them at once, and merged.
    """
    if not data.exists():
        groups: dict[bytes, list[Source]] = {}
        for source in wanted:
            groups.setdefault(canonical_json(source.get("coded", {})), []).append(source)
        parts = [data] if len(groups) == 1 else [data.with_name(f"{data.name}-{n}") for n in range(len(groups))]
        for part, own in zip(parts, groups.values(), strict=True):
            if not part.exists():
                record_part(with_own(recipe.record, own[0].get("coded", {})), own, folder, part)
        if len(parts) > 1:
            merge_records(parts, data)
    return fit_pruner(SearchSet.load(data), output, recipe.fit)


def with_own(config: RecordConfig, coded: Coded) -> RecordConfig:
    """The settings with those that a source has of its own."""
    numbers = {name: number for number, name in CHROMAS.items()}
    own = {
        "chroma": numbers.get(coded.get("chroma", "")),
        "tune": coded.get("tune"),
        "share": coded.get("recorded", {}).get("share"),
        "size": parse_size(str(coded["input"]["size"])) if "input" in coded else None,
    }
    return replace(config, **{name: value for name, value in own.items() if value is not None})


def record_part(config: RecordConfig, wanted: Sequence[Source], folder: Path, data: Path) -> None:
    """Record sources that are coded alike."""
    data.parent.mkdir(parents=True, exist_ok=True)
    files = files_of(wanted, folder)
    splits, licences = data.with_suffix(".splits.tsv"), data.with_suffix(".licences.tsv")
    # In a merged record a source may have another name than its file.
    splits.write_text("".join(f"{file.stem}\t{s['split']}\n" for file, s in zip(files, wanted, strict=True)))
    rows = [f"{s['sha256']}\t{s['licence']}\t{s['origin']}\n" for s in wanted]
    licences.write_text("".join(["sha256\tlicence\tsource\n", *rows]))
    record(files, data, replace(config, split=str(splits)), licences=licences)


@click.command()
@click.argument("folder", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the new pruners.")
@click.option("--name", "names", multiple=True, type=click.Choice(sorted(RECIPES)), help="Only this one; repeatable.")
def main(folder: Path, output: Path, names: tuple[str, ...]) -> None:
    """Make the pruners of the box again from what lies below FOLDER."""
    for name in names or sorted(RECIPES):
        made = make(RECIPES[name], sources(name), folder, output / name, output / "records" / name)
        before = PrunerBundle.load(zoo.find(Path(name))).manifest["validation"]
        click.echo(f"{output / name}, on validation:")
        for key, now in made.manifest["validation"].items():
            was = before.get(key, {"skipped": 0})["skipped"]
            click.echo(
                f"  {key}: skips {now['skipped']:,} of {now['asked']:,} ({was:,} before), {now['time_percent']:.1f}% "
                f"of the time for {now['loss_percent']:.2f}% of the bits"
            )


if __name__ == "__main__":
    main()
