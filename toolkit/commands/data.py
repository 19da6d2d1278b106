"""`av1part data`: look at a data set, merge several, or import an older one."""

import json
from pathlib import Path

import click

from toolkit.files import quoted
from toolkit.folders import BLOCKSET, BLOCKSETS, SEARCH, check_folder, kind_of
from toolkit.legacy.config import FORMATS, QPS, ImportConfig

_D = ImportConfig()


@click.group()
def data() -> None:
    """Look at a data set, merge several, or import an older one."""


@data.command()
@click.argument("path", metavar="DATA", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--preview", type=click.Path(path_type=Path), help="Also draw frames with their partitions outlined (PNG)."
)
def info(path: Path, as_json: bool, preview: Path | None) -> None:
    """Describe a data set.

    Shown are sources, splits, licences, class histograms, blocks that a stage leaves out, and the trivial baselines.
    """
    check_folder(path, BLOCKSET)
    from toolkit.cli.progress import next_step
    from toolkit.commands.data_tables import print_info
    from toolkit.data.blockset import BlockSet
    from toolkit.data.info import dataset_info
    from toolkit.data.preview import write_preview

    blocks = BlockSet.load(path)
    if preview is not None:
        write_preview(blocks, preview)
        click.echo(f"Preview: {preview}", err=True)
    found = dataset_info(blocks)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    print_info(found)
    next_step(f"train {quoted(path)} -o RUN")


@data.command()
@click.argument("paths", metavar="A B...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option("--split", help="Split all sources anew: auto, train, val, test or a TSV.  [default: each keeps its own]")
@click.option("--overwrite", is_flag=True, help="Replace a folder of this kind that is there.")
def merge(paths: tuple[Path, ...], output: Path, split: str | None, overwrite: bool) -> None:
    """Make one data set, or one record of the search, of several that were made with the same settings.

    A source that two of them hold alike is taken once. Where its split or content differs, or any setting of the
    encoder, nothing is written. Records may differ in chroma, tune, size and share: each source keeps its own.
    """
    from toolkit.cli.progress import next_step
    from toolkit.data.merge import merge_blocksets, merge_groups
    from toolkit.pruners.merge import merge_records

    if len(paths) < 2:
        raise click.UsageError("Name two or more folders to merge.")
    merges = {BLOCKSETS: merge_groups, SEARCH: merge_records}
    kind = kind_of(paths[0])
    if kind not in merges:
        kind = BLOCKSET
    for path in paths:
        check_folder(path, kind)
    for note in merges.get(kind, merge_blocksets)(paths, output, split=split, overwrite=overwrite):
        click.echo(note, err=True)
    click.echo(output)
    if kind == BLOCKSET:
        next_step(f"data info {quoted(output)}")


@data.command("import")
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="BlockSet folder to write.")
@click.option("--format", "kind", type=click.Choice(FORMATS), required=True, help="Layout of SRC.")
@click.option(
    "--split", default=_D.split, show_default=True, help="Split of triplets: auto, train, val, test or a table (TSV)."
)
@click.option("--label-order", default=_D.label_order, show_default=True, help="Names of the labels 0, 1, 2, ...")
@click.option("--qps", type=click.Choice(QPS), default=_D.qps, show_default=True, help="Meaning of the qps in SRC.")
@click.option("--licence", default=_D.licence, show_default=True, help="Licence of the material, for the manifest.")
@click.option("--overwrite", is_flag=True, help="Replace an existing data set.")
def import_(source: Path, output: Path, kind: str, overwrite: bool, **options: str) -> None:
    """Turn older data into a BlockSet, and undo their scaling.

    \b
    triplets  SRC/intra_raw_blocks/<seq>_sample_16.txt (10-bit little-endian uint16, Nx16x16),
              SRC/labels/<seq>_labels_16_intra.txt and SRC/qps/<seq>_qps_16_intra.txt (whole numbers)
    pt        SRC/train.pt and SRC/val.pt: samples (N, 1, 16, 16) float32, labels_stage0, qps
    """
    from toolkit.cli.progress import next_step
    from toolkit.legacy.importers import import_data

    for warning in import_data(kind, source, output, ImportConfig(**options), overwrite=overwrite):
        click.secho(f"Warning: {warning}", fg="yellow", err=True)
    click.echo(f"{output}: imported.", err=True)
    next_step(f"data info {quoted(output)}")
