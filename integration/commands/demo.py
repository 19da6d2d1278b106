"""`av1part demo`: the whole main job on the embedded data set."""

from pathlib import Path

import click

from integration.demo.config import DemoConfig

_D = DemoConfig()


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path(_D.output),
    show_default=True,
    help="Folder of the demo.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Data set to use instead of the embedded one.")
@click.option("--limit-train", type=int, default=_D.limit_train, show_default=True, help="Training blocks of each run.")
@click.option(
    "--limit-val", type=int, default=_D.limit_val, show_default=True, help="Blocks that each run is evaluated on."
)
@click.option(
    "--epochs",
    type=int,
    default=_D.epochs,
    show_default=True,
    help="Epochs of each run, the first with a frozen backbone.",
)
def demo(output: Path, data: Path | None, limit_train: int, limit_val: int, epochs: int) -> None:
    """Run the whole main job on the embedded data set, in a few minutes on 2 cores.

    Trains Stage 1, Stage 2 from both inits and the Stage 3 heads; selects, exports and proves them; builds the
    pipeline; and encodes one frame with and without masks. Prints every command before running it. An earlier demo in
    OUTPUT is replaced.
    """
    from integration.demo.steps import Demo

    Demo(output, data, DemoConfig(str(output), limit_train, limit_val, epochs)).run()
