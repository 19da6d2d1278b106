"""`av1part import-checkpoint`: make an older checkpoint exportable."""

from pathlib import Path

import click

from toolkit.cli.options import factor
from toolkit.files import quoted
from toolkit.folders import check_file
from toolkit.partition import STAGES


@click.command("import-checkpoint")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--stage", type=click.Choice(list(STAGES)), required=True, help="Stage that it decides.")
@click.option(
    "--input-scale",
    required=True,
    callback=factor,
    help="Factor on raw code values in its training: 1/1023, or 1/1023*1/1023 where they were scaled twice.",
)
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="BlockSet whose val split scores the model."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Checkpoint to write (.pt).")
def import_checkpoint(file: Path, stage: str, input_scale: float, data: Path, output: Path) -> None:
    """Make an older .pt checkpoint of the field's ResNet-18 exportable, without running any code in the file."""
    from toolkit.data.blockset import BlockSet

    check_file(file, "a .pt checkpoint of an older format")
    blocks = BlockSet.load(data)  # checked whole before torch is imported, which takes seconds
    from toolkit.cli.progress import next_step
    from toolkit.legacy import checkpoint as importer

    checkpoint = importer.import_checkpoint(file, output, blocks, stage, input_scale)
    constant = checkpoint.baselines["best_constant"]
    click.echo(f"{output}: stage {stage}, macro-F1 {checkpoint.metrics['macro_f1']:.4f} on the val split of {data}")
    click.echo(f"  the best constant, always {constant['class']}: {constant['macro_f1']:.4f}")
    click.echo("  What it was trained on is unknown: prove it on data that it cannot have seen.", err=True)
    next_step(f"export {quoted(output)} -o BUNDLE")
