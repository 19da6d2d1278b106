"""`av1part sweep`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from toolkit.experiments.sweep_config import SweepConfig, Variant
from toolkit.partition import STAGES
from toolkit.training.recipes import RECIPES

F = TypeVar("F", bound=Callable[..., Any])
_C = SweepConfig((Variant("scratch"),))


def _names(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _list(name: str, text: str, **more: Any) -> Callable[[F], F]:
    return click.option(name, metavar="NAME,...", callback=_names, help=text, **more)


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), required=True, help="Folder of the runs.")
@_list("--recipes", "Of `av1part recipes`; NAME:OPTION=VALUE:... for one with options of its own.", required=True)
@_list("--inits", "Every recipe with each of these.  [default: its own]", default="")
@click.option("--seeds", type=int, default=_C.seeds, show_default=True, help="Runs of each recipe.")
@click.option("--stage", type=click.Choice(list(STAGES)), default=_C.stage, show_default=True)
@click.option("--stage1", type=click.Path(path_type=Path), help="Start from this run or checkpoint; none is trained.")
@click.option("--stage1-recipe", type=click.Choice(list(RECIPES)), help="[default: imagenet; small backbone: scratch]")
@click.option("--jobs", type=click.IntRange(min=1), default=_C.jobs, show_default=True, help="Runs at once.")
@click.option("--backend", default=_C.backend, show_default=True, help="joblib's: threading, loky, dask, ray.")
@_list("--gpus", "Numbers of GPUs, handed out to the runs in turn.", default="")
@click.argument("train_options", metavar="[-- TRAIN_OPTIONS...]", nargs=-1, type=click.UNPROCESSED)
def sweep(data: Path, folder: Path, train_options: tuple[str, ...], **options: Any) -> None:
    """Train recipes x seeds on DATA, each an ordinary run, and compare them.

    Runs that need a Stage 1 share one for each seed and backbone. Given again, the command skips finished runs and
    resumes interrupted ones; recipes and seeds may be added. Options after -- go to every `av1part train` and overrule
    the recipes; those in `--recipes ulmfit,ulmfit:freeze-epochs=2:no-qindex` are for that arm alone.
    """
    from toolkit.commands.sweep_report import report
    from toolkit.experiments.sweep import sweep as run_sweep

    options["recipes"] = tuple(_variant(text) for text in options["recipes"])
    config = SweepConfig(**options, options=_parsed(train_options))
    finished, failed = run_sweep(data, folder, config)
    report(folder, data, finished, failed)


def _variant(text: str) -> Variant:
    """NAME:OPTION=VALUE:FLAG as a recipe and its own options."""
    name, *settings = text.split(":")
    return Variant(name, _parsed(tuple(f"--{setting}" for setting in settings)))


def _parsed(arguments: tuple[str, ...]) -> dict[str, Any]:
    """The options of `av1part train` among these arguments, by parameter name; usage errors as `train` gives them."""
    from toolkit.commands.train import train

    with train.make_context("train", ["DATA", "-o", "RUN", *arguments]) as ctx:
        given = [k for k in ctx.params if ctx.get_parameter_source(k) == click.core.ParameterSource.COMMANDLINE]
        ours = {"data": Path("DATA"), "run": Path("RUN")}
        return {k: ctx.params[k] for k in given if ctx.params[k] != ours.get(k)}
