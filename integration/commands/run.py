"""`av1part run`: another encoder with pruners and pipelines inside its libaom."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from integration.commands.host_options import host_options

if TYPE_CHECKING:
    from integration.pipeline.pipeline import Pipeline
    from integration.pruning.bundle import PrunerBundle


@click.command(context_settings={"allow_interspersed_args": False})
@host_options()
@click.option("--no-pipeline", is_flag=True, help="Our libaom with nothing in it, to compare with.")
@click.option("--stats", type=click.Path(path_type=Path), help="Append what each encoder did: a line of JSON.")
@click.option("--quiet", is_flag=True, help="Leave out the last line on stderr.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def run(
    pipelines: tuple[Path, ...],
    no_pipeline: bool,
    price: float | None,
    stats: Path | None,
    quiet: bool,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND, such as ffmpeg or avifenc, with pruners inside its libaom; exits with its status.

    A pruner is for key frames or for inter frames; masks are for key frames. What no pruner
    was made for is coded as by libaom alone, and a line on stderr says so. A pipeline needs ONNX Runtime's library:
    that of the Python package, else AV1PART_ONNXRUNTIME.

    \b
    av1part run -- ffmpeg -i in.mp4 -c:v libaom-av1 -usage good -cpu-used 2 -crf 32 out.mkv
    """
    if no_pipeline and (pipelines or price is not None):
        raise click.UsageError("--no-pipeline prunes nothing: leave --pipeline and --price out, or it.")
    from toolkit.processes import signals_held

    with signals_held():
        from integration.hosts.ready import ready
        from integration.hosts.run import run_host

        found = ready(pipelines, price, without=no_pipeline)
        done = run_host(command, found.variables, stats)
        if not (quiet or no_pipeline):
            from integration.hosts.told import told

            said = told(done, Path(command[0]).name, partial(_models, pipelines), found.version)
            click.echo(f"av1part: {'. '.join(said)}.", err=True)
        click.get_current_context().exit(done.status)


def _models(paths: tuple[Path, ...]) -> "list[PrunerBundle | Pipeline]":
    from integration.hosts.models import models_of

    return models_of(paths)
