"""Make the embedded data set again, from its photographs: with the libaom in use, and as photographs are read now.

    python benchmarks/embedded_set.py PHOTOS

PHOTOS holds the originals, found by their sha256. Sizes, levels, speed, splits, licences and origins stay as the set
has them. The photographs are coded with as many processes as there are cores: about eight minutes on 2 that are idle.
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.rebuild_zoo import files_of
from integration.media.raw import parse_size
from integration.recording.config import LabelConfig
from integration.recording.label import label
from toolkit.data.blockset import BlockSet
from toolkit.files import atomic_write_bytes
from toolkit.sample.attribution import FOLDER, attribution

MADE = ("manifest.json", "blocks.npy", "luma")
"""What `label` makes; the rest of the folder is written by hand, or from these."""


def make_again(photos: Path, sample: Path, output: Path, names: Sequence[str] = ()) -> None:
    """Label the photographs of the set `sample`, or those of these names, as it was labelled, into `output`."""
    data = BlockSet.load(sample)
    sources = [dict(source) for source in data.sources if not names or source["name"] in names]
    settings = data.manifest["encoder"]
    with tempfile.TemporaryDirectory() as folder:
        splits, licences = Path(folder) / "splits.tsv", Path(folder) / "licences.tsv"
        splits.write_text("".join(f"{s['name']}\t{s['split']}\n" for s in sources))
        rows = [f"{s['sha256']}\t{s['licence']}\t{s['origin']}\n" for s in sources]
        licences.write_text("".join(["sha256\tlicence\tsource\n", *rows]))
        config = LabelConfig(
            cq=tuple(settings["cq"]),
            cpu_used=settings["cpu_used"],
            usage=settings["usage"],
            size=parse_size(settings["input"]["size"]),
            split=str(splits),
            four_way=bool(settings["enable_1to4_partitions"]),
            with_costs=False,
        )
        label(files_of(sources, photos), output, config, licences=licences)


@click.command()
@click.argument("photos", metavar="PHOTOS", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/embedded"), show_default=True)
def main(photos: Path, work: Path) -> None:
    """Make the embedded data set again from the photographs in PHOTOS; what WORK has already is not coded again."""
    if not work.exists():
        work.parent.mkdir(parents=True, exist_ok=True)
        make_again(photos, FOLDER, work)
    for name in MADE:
        if (FOLDER / name).is_dir():
            shutil.rmtree(FOLDER / name)
            shutil.copytree(work / name, FOLDER / name)
        else:
            shutil.copyfile(work / name, FOLDER / name)
    atomic_write_bytes(FOLDER / "LICENSE.md", attribution().encode())
    click.echo(f"{FOLDER}: labelled by libaom {BlockSet.load(FOLDER).manifest['encoder']['version']}")


if __name__ == "__main__":
    main()
