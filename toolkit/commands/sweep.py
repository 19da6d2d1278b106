"""`av1part sweep`: train recipes x seeds, and compare the runs."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from toolkit.cli.long_command import LongCommand
from toolkit.cli.options import scheduler_option, words
from toolkit.cluster import Cluster
from toolkit.errors import ToolkitError
from toolkit.experiments.sweep_config import BACKENDS, SweepConfig, Variant
from toolkit.folders import BLOCKSET, check_folder, check_model
from toolkit.option import Options
from toolkit.partition import STAGES
from toolkit.training.config import RECIPES

if TYPE_CHECKING:
    from toolkit.experiments.sweep import Outcome

F = TypeVar("F", bound=Callable[..., Any])
_C = SweepConfig((Variant("scratch"),))


def _list(name: str, text: str, **more: Any) -> Callable[[F], F]:
    return click.option(name, metavar="NAME,...", callback=words, help=text, **more)


@click.command(cls=LongCommand)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), required=True, help="Folder of the runs.")
@_list("--recipes", "Names from `av1part recipes`; NAME:OPTION=VALUE:... gives one its own options.", required=True)
@_list("--inits", "Train every recipe with each of these inits.  [default: its own]", default="")
@click.option("--seeds", type=int, default=_C.seeds, show_default=True, help="Number of runs of each recipe.")
@click.option(
    "--stage", type=click.Choice(list(STAGES)), default=_C.stage, show_default=True, help="Stage of the cascade."
)
@click.option(
    "--stage1", type=click.Path(path_type=Path), help="Run or checkpoint to start from; no Stage 1 is trained."
)
@click.option(
    "--stage1-recipe",
    type=click.Choice(list(RECIPES)),
    help="Recipe of the Stage 1 that is trained.  [default: imagenet; small backbone: scratch]",
)
@click.option("--jobs", type=click.IntRange(min=1), default=_C.jobs, show_default=True, help="Number of runs at once.")
@click.option(
    "--backend", type=click.Choice(BACKENDS), default=_C.backend, show_default=True, help="joblib backend for --jobs."
)
@_list("--gpus", "Numbers of GPUs, given to the runs in turn.", default="")
@scheduler_option("Options")
@click.argument("train_options", metavar="[-- TRAIN_OPTIONS...]", nargs=-1, type=click.UNPROCESSED)
def sweep(data: Path, folder: Path, train_options: tuple[str, ...], scheduler: str | None, **options: Any) -> None:
    """Train recipes x seeds on DATA, each an ordinary run, and compare the runs.

    Runs of the same seed and backbone share their Stage 1. The same command again skips finished runs and resumes
    interrupted ones; recipes and seeds may be added. Options after -- go to every `av1part train` and overrule the
    recipes. Options in `--recipes ulmfit,ulmfit:freeze-epochs=2:no-qindex` are for the second arm alone.
    """
    options["recipes"] = tuple(_variant(text) for text in options["recipes"])
    config = SweepConfig(**options, options=_parsed(train_options))
    if scheduler and config.gpus:
        raise click.UsageError("--gpus are this machine's, and --scheduler sends the runs to others. Leave it out.")
    check_folder(data, BLOCKSET)
    if config.stage1 is not None:
        check_model(config.stage1)
    from toolkit.experiments.sweep import sweep as run_sweep

    finished, failed = run_sweep(data, folder, config, Cluster(scheduler) if scheduler else None)
    if finished:
        _compare(finished, data, folder)
    _check(failed)


@sweep.planned
def _plan(
    data: Path, folder: Path, train_options: tuple[str, ...], scheduler: str | None, **options: Any
) -> Iterator[str]:
    """Lines on the runs that would be trained, Stage 1 first."""
    from toolkit.experiments.sweep_config import plan

    options["recipes"] = tuple(_variant(text) for text in options["recipes"])
    jobs = plan(SweepConfig(**options, options=_parsed(train_options)))
    yield f"{len(jobs)} runs, {options['jobs']} at once:"
    yield from (f"  {job.name}" for job in jobs)


def _compare(finished: Sequence[Path], data: Path, folder: Path) -> None:
    """Print the comparison of the finished runs, and write it to FOLDER/report.html and FOLDER/report.md."""
    from rich.console import Console

    from toolkit.commands.compare_tables import print_comparison
    from toolkit.experiments.compare import compare_runs
    from toolkit.experiments.report import write_report
    from toolkit.experiments.run_reliability import measure_reliability

    comparison = compare_runs(finished)
    with Console(stderr=True).status("Scoring the best checkpoints again"):
        reliability = measure_reliability(comparison.runs, data)
    print_comparison(comparison, reliability)
    for path in write_report(comparison, reliability, folder / "report"):
        click.echo(f"Wrote {path}", err=True)


def _check(failed: Sequence["Outcome"]) -> None:
    """Raise ToolkitError where a run failed."""
    if failed:
        listed = "\n".join(f"  {outcome.name}: {outcome.failure}" for outcome in failed)
        raise ToolkitError(
            f"{len(failed)} runs failed:\n{listed}\nPut right what they name and give the command again: "
            "finished runs are kept, interrupted ones resumed."
        )


def _variant(text: str) -> Variant:
    """Parse NAME:OPTION=VALUE:FLAG into a recipe and its own options."""
    name, *settings = text.split(":")
    return Variant(name, _parsed(tuple(f"--{setting}" for setting in settings)))


def _parsed(arguments: tuple[str, ...]) -> Options:
    """Parse arguments of `av1part train` into options. Raises the usage errors of that command."""
    from toolkit.commands.train import train

    with train.make_context("train", ["DATA", "-o", "RUN", *arguments]) as ctx:
        given = [k for k in ctx.params if ctx.get_parameter_source(k) == click.core.ParameterSource.COMMANDLINE]
        ours = {"data": Path("DATA"), "run": Path("RUN")}
        return {k: ctx.params[k] for k in given if ctx.params[k] != ours.get(k)}
