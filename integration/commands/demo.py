"""`av1part demo`."""

from pathlib import Path

import click

from integration.demo.config import DemoConfig

_D = DemoConfig()


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path(_D.output), show_default=True)
@click.option("--data", type=click.Path(path_type=Path), help="Another data set than the embedded one.")
@click.option("--limit-train", type=int, default=_D.limit_train, show_default=True, help="Training blocks a run.")
@click.option("--limit-val", type=int, default=_D.limit_val, show_default=True, help="Blocks to evaluate on.")
@click.option("--epochs", type=int, default=_D.epochs, show_default=True, help="Epochs a run, the first one frozen.")
def demo(output: Path, data: Path | None, limit_train: int, limit_val: int, epochs: int) -> None:
    """The whole main job on the embedded data set, in a few minutes on 2 cores.

    Stage 1, Stage 2 with both inits, the Stage 3 heads; select, export, parity, pipeline 008, and one frame encoded
    with and without masks. Prints every command that it runs. What OUTPUT holds from an earlier demo is replaced.
    """
    from integration.demo.steps import Demo

    Demo(output, data, DemoConfig(str(output), limit_train, limit_val, epochs)).run()
