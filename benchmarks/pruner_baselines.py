"""Pruners that know less, made to be measured in encodes beside one that knows all (pruners_beside.py does that).

    python benchmarks/pruner_baselines.py RECORD -o FOLDER [--trees 60]

The sets of features are those of pruner_features.py, each pruner `FOLDER/NAME`. `permuted` learns from a record whose
features are dealt out anew between the nodes of a size in each picture: a control that must lose. It still sees the
quantiser, which is the same in a whole picture.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from pruner_features import permuted, sets_of

from integration.pruning.config import FitConfig
from integration.pruning.fit import fit_pruner
from toolkit.pruners.record import RecordedFrame, SearchSet, write_search_set

NAMES = {
    "variance": "variance and qindex",
    "none-cost": "NONE's cost and qindex",
    "pixels": "pixels",
    "neighbours": "pixels, neighbours, symbols",
    "all": "all",
}
"""Set of features by the name of the pruner that learns from it."""


def permuted_record(data: SearchSet, folder: Path) -> SearchSet:
    """The record with its features permuted between nodes, written to `folder`."""
    rng = np.random.default_rng(0)
    (folder / "rows").mkdir(parents=True)
    for entry in data.entries:
        rows = np.load(data.path / entry.file, allow_pickle=False)
        dealt = permuted(RecordedFrame(rows, entry.bits, entry.pixels, entry.seconds), rng).rows
        np.save(folder / entry.file, dealt, allow_pickle=False)
    manifest = data.manifest
    write_search_set(
        folder, manifest["bit_depth"], manifest["encoder"], data.features, manifest["sources"], data.entries
    )
    return SearchSet.load(folder)


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the pruners.")
@click.option("--trees", default=60, show_default=True)
def main(record: Path, output: Path, trees: int) -> None:
    """Fit one pruner a set of features, and the control."""
    data = SearchSet.load(record)
    sets = sets_of(data.features)
    config = FitConfig(model="trees", trees=trees)
    with tempfile.TemporaryDirectory() as work:
        fits = {name: (data, replace(config, features=sets[NAMES[name]])) for name in NAMES}
        fits["permuted"] = (permuted_record(data, Path(work) / "record"), fits["all"][1])
        for name, (source, own) in fits.items():
            if not (output / name).is_dir():  # of a run that was stopped
                fit_pruner(source, output / name, own)
            click.echo(f"{output / name}: {', '.join(own.features)}")


if __name__ == "__main__":
    main()
