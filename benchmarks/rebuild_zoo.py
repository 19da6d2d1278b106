"""Make a pruner in the box again, from the photographs that its manifest names, and say what differs.

    python benchmarks/rebuild_zoo.py photo-8bit PHOTOS -o OUT

Photographs are found below PHOTOS by their sha256. Measured times are part of what is learnt, so that a pruner made
again is alike, not equal to the byte. Takes about half an hour on 2 cores.
"""

import tempfile
from pathlib import Path

import click

from integration import zoo
from integration.labelling.config import RecordConfig
from integration.labelling.record import record
from integration.pruning.bundle import PrunerBundle
from integration.pruning.config import FitConfig
from integration.pruning.fit import fit_pruner
from toolkit.files import sha256_file
from toolkit.pruners.record import SearchSet


def photographs(made: PrunerBundle, folder: Path) -> list[Path]:
    """Files of the pruner's sources, in its order; a usage error where one is not below the folder."""
    by_hash = {sha256_file(path): path for path in sorted(folder.rglob("*")) if path.is_file()}
    sources = made.manifest["learnt"]["sources"]
    if missing := [s["name"] for s in sources if s["sha256"] not in by_hash]:
        raise click.UsageError(f"{folder}: {len(missing)} of {len(sources)} sources are not there, as {missing[0]}.")
    return [by_hash[s["sha256"]] for s in sources]


def record_config(made: PrunerBundle, splits: Path) -> RecordConfig:
    """Settings of the record that the pruner learnt from."""
    encoder = made.encoder
    width, height = map(int, encoder["input"]["size"].split("x"))
    return RecordConfig(
        cq=tuple(encoder["cq"]),
        cpu_used=encoder["cpu_used"],
        usage=encoder["usage"],
        size=(width, height),
        split=str(splits),
        four_way=bool(encoder["enable_1to4_partitions"]),
        **encoder["recorded"],
    )


@click.command()
@click.argument("name")
@click.argument("folder", metavar="PHOTOS", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The new pruner's folder.")
def main(name: str, folder: Path, output: Path) -> None:
    """Record the photographs of the pruner NAME again and fit it anew."""
    made = PrunerBundle.load(zoo.find(Path(name)))
    learnt = made.manifest["learnt"]["config"]
    with tempfile.TemporaryDirectory() as work:
        sources = made.manifest["learnt"]["sources"]
        splits, licences, data = (Path(work) / name for name in ("splits.tsv", "licences.tsv", "record"))
        splits.write_text("".join(f"{s['name']}\t{s['split']}\n" for s in sources))
        rows = [f"{s['sha256']}\t{s['licence']}\t{s['origin']}\n" for s in sources]
        licences.write_text("".join(["sha256\tlicence\tsource\n", *rows]))
        record(photographs(made, folder), data, record_config(made, splits), licences=licences)
        own = {key: learnt[key] for key in ("trees", "leaves", "seed")}
        config = FitConfig(
            made.price, made.most, sides=tuple(learnt["sides"]), decisions=tuple(learnt["decisions"]), **own
        )
        again = fit_pruner(SearchSet.load(data), output, config)
    for key, before in made.manifest["validation"].items():
        after = again.manifest["validation"].get(key, {})
        click.echo(f"{key}: skipped {before['skipped']:,} before, {after.get('skipped', 0):,} now")


if __name__ == "__main__":
    main()
