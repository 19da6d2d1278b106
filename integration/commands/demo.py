"""`av1part demo`: the whole main job on the embedded data set."""

from pathlib import Path
from typing import Any

import click

from integration.demo.config import DemoConfig
from toolkit.cli.options import config_options


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("runs/demo"),
    show_default=True,
    help="Folder of the demo.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Data set to use instead of the embedded one.")
@config_options(DemoConfig)
def demo(output: Path, data: Path | None, **options: Any) -> None:
    """Run the whole main job on the embedded data set, in a few minutes on 2 cores.

    Trains Stage 1, Stage 2 from both inits and the Stage 3 heads; selects, exports and proves them; builds the
    pipeline; and encodes one frame with and without masks. Prints every command before running it. An earlier demo in
    OUTPUT is replaced.
    """
    from integration.demo.steps import Demo

    Demo(output, data, DemoConfig(**options)).run()
