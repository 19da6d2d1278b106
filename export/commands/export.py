"""`av1part export`."""

import json
from pathlib import Path

import click

from toolkit.files import check_free, quoted
from toolkit.folders import BLOCKSET, check_folder, check_model


@click.command()
@click.argument("run_or_ckpt", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Bundle folder to make.")
@click.option("--epoch", type=click.IntRange(min=1), help="Epoch of a run; without it the one that `select` chooses.")
@click.option("--data", type=click.Path(path_type=Path), help="The run's data set, if it has moved.")
@click.option("--allow-weak", is_flag=True, help="Export even what does not beat a constant; the bundle will say so.")
@click.option("--overwrite", is_flag=True, help="Replace a bundle that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def export(
    run_or_ckpt: Path,
    output: Path,
    epoch: int | None,
    data: Path | None,
    allow_weak: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Export a checkpoint (of RUN the best one) to an ONNX bundle.

    ONNX Runtime is compared with PyTorch in float64 on validation blocks before anything is put in place.
    """
    check_model(run_or_ckpt)
    if data is not None:
        check_folder(data, BLOCKSET)
    check_free(output, overwrite)
    from export.bundle.write import choose_checkpoint, write_bundle
    from export.commands.bundle import describe
    from toolkit.cli.progress import next_step, shown

    with shown():
        chosen = choose_checkpoint(run_or_ckpt, epoch, data)
        bundle = write_bundle(chosen, output, allow_weak=allow_weak, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps({"bundle": str(output), "sha256": bundle.sha256, **bundle.manifest["export_check"]}))
        return
    click.echo(describe(bundle))
    next_step(f"parity {quoted(output)} DATA")
