"""`av1part quantize`."""

from pathlib import Path
from typing import Any

import click

from export.bundle.quantize_config import QuantizeConfig
from toolkit.cli.options import config_options
from toolkit.files import check_free, quoted
from toolkit.folders import BLOCKSET, BUNDLE, check_folder


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Bundle folder to make.")
@config_options(QuantizeConfig)
@click.option("--overwrite", is_flag=True, help="Replace a bundle that is there.")
def quantize(bundle: Path, data: Path, output: Path, overwrite: bool, **options: Any) -> None:
    """Make an int8 bundle of the proven float32 BUNDLE, calibrated on the training split of DATA alone."""
    check_folder(bundle, BUNDLE)
    check_folder(data, BLOCKSET)
    check_free(output, overwrite)
    from export.bundle.quantize import quantize_bundle
    from toolkit.cli.progress import next_step, shown

    with shown():
        made = quantize_bundle(bundle, data, output, QuantizeConfig(**options), overwrite=overwrite)
    about = made.manifest["quantization"]
    click.echo(f"{output}: int8, calibrated on {about['blocks']} training blocks of {about['sources']} sources")
    next_step(f"parity {quoted(output)} {quoted(data)}")
