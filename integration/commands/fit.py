"""`av1part fit`: from a record of the search to a pruner, or from labels to masks, proven and tried in encodes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from integration.commands.source_options import planned_encodes
from integration.pruning.config import FitConfig
from integration.tuning.config import TryConfig
from toolkit.cli.long_command import LongCommand
from toolkit.cli.options import config_options
from toolkit.files import check_free, quoted
from toolkit.folders import BLOCKSET, kind_of

_PATH = click.Path(path_type=Path)


@click.command(cls=LongCommand)
@click.argument("data", type=_PATH)
@click.argument("sources", type=_PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=_PATH, required=True, help="Folder of the pruner or pipeline.")
@config_options(TryConfig, only=("target_loss", "size", "frames"))
@config_options(FitConfig, only=("sides", "model"))
@click.option("--pruner", type=_PATH, help="Goes into the pipeline of masks: a folder, or a name of `av1part zoo`.")
@click.option("--overwrite", is_flag=True, help="Replace a folder of its kind that is there.")
@click.pass_context
def fit(
    ctx: click.Context,
    /,
    data: Path,
    sources: tuple[Path, ...],
    output: Path,
    sides: tuple[int, ...],
    model: str,
    pruner: Path | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Learn a pruner, or masks, from DATA, prove them, and choose by encodes of SOURCES how much they may skip.

    DATA of `av1part record` gives a pruner: SOURCES are encoded at five prices, and it is sealed at the one that saves
    most time. The single steps are `pruner fit` and `bench encoder`.

    DATA of `av1part label` gives a pipeline of masks: Stages 1 and 2 are trained by `--recipe best`, exported, proven
    and chained, and its policy is fitted on SOURCES. Every single command is printed as it is worked off.

    What loses more than --target-loss is not taken; where all does, nothing is written. SOURCES are photographs or
    clips that nothing was learnt from: those of DATA's val and test splits, or new ones. A run that was stopped goes
    on.
    """
    tries = TryConfig(**options)
    check_free(output, overwrite)
    given = [name for name in ("sides", "model") if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if kind_of(data) == BLOCKSET:
        if given:
            raise click.UsageError(f"--{given[0]} is of a pruner, which DATA of `av1part record` gives.")
        _fit_masks(data, sources, output, tries, pruner, overwrite=overwrite)
        return
    if pruner:
        raise click.UsageError("--pruner goes into a pipeline of masks, which DATA of `av1part label` gives.")
    _fit_pruner(data, sources, output, tries, FitConfig(sides=sides, model=model), overwrite=overwrite)


def _fit_masks(
    path: Path,
    sources: tuple[Path, ...],
    output: Path,
    tries: TryConfig,
    pruner: Path | None,
    *,
    overwrite: bool,
) -> None:
    from integration.bench.bd import saved_time
    from integration.commands.fit_steps import printed_steps
    from integration.commands.policy_tables import print_fit, trial_log
    from integration.encoding.opening import named
    from integration.tuning.masks import MaskFit, fit_config
    from toolkit.cli.progress import next_step
    from toolkit.data.blockset import BlockSet

    data = BlockSet.load(path)
    inside = named((), pruner).decider()
    made = MaskFit(data, sources, output, fit_config(data, tries), inside, printed_steps())
    found = made.run(trial_log(), overwrite=overwrite)
    print_fit(found, made.config, output)
    chosen = next(trial for trial in found.trials if trial.point == found.chosen)
    click.echo(
        f"{output}: {saved_time(chosen.saving)}, inference charged, for {chosen.loss:+.2f}% bytes, on sources that it "
        "has not learnt from."
    )
    next_step(f"encode CLIP --pipeline {quoted(output)} --cpu-used {data.manifest['encoder']['cpu_used']} -o OUT.ivf")


def _fit_pruner(
    record: Path,
    sources: tuple[Path, ...],
    output: Path,
    tries: TryConfig,
    config: FitConfig,
    *,
    overwrite: bool,
) -> None:
    from integration.commands.pruner import encode_with
    from integration.tuning.pruner import fit_priced
    from toolkit.cli.progress import counted, next_step
    from toolkit.pruners.record import SearchSet, doubts

    data = SearchSet.load(record)
    with counted("learning") as progress:
        found = fit_priced(
            data, sources, output, config, tries, overwrite=overwrite, progress=progress,
            learning=lambda: click.echo(
                "\n".join([*(f"Warning: {record}: {doubt}" for doubt in doubts(data.splits)),
                           "Learning from the record, and proving."]), err=True,
            ),
        )  # fmt: skip
    click.echo("\n".join(map(str, found.trials)))
    tried = f"{len(found.files)} source{'s' if len(found.files) > 1 else ''}"
    click.echo(f"{output}: {found.chosen}, on {tried} that it has not learnt from.")
    next_step(encode_with(found.pruner))


@fit.planned
def _plan(
    data: Path, sources: tuple[Path, ...], sides: tuple[int, ...], model: str, pruner: Path | None, **options: Any
) -> Iterator[str]:
    """Lines on what would be learnt, and on the encodes that would try it."""
    tries = TryConfig(**{name: value for name, value in options.items() if name not in ("output", "overwrite")})
    if kind_of(data) == BLOCKSET:
        yield from _planned_masks(data, sources, tries, pruner)
        return
    from integration.bench.config import BenchConfig
    from integration.commands.pruner import planned_learning
    from integration.tuning.price import PRICES
    from toolkit.pruners.record import SearchSet

    record = SearchSet.load(data)
    yield from planned_learning(record, FitConfig(sides=sides, model=model))
    yield f"Then {len(PRICES)} prices are tried, beside no pruner:"
    tries = replace(tries, frames=tries.frames_of(record.frame_kind))
    yield from planned_encodes(tries, sources, BenchConfig().cq, len(PRICES) + 1)


def _planned_masks(path: Path, sources: tuple[Path, ...], tries: TryConfig, pruner: Path | None) -> Iterator[str]:
    from integration.commands.policy import planned_search, planned_trials
    from integration.tuning.config import STAGES
    from integration.tuning.masks import fit_config
    from toolkit.data.blockset import BlockSet

    data = BlockSet.load(path)
    for stage, own in STAGES.items():
        train, val = (len(data.split_index(split, stage)) for split in ("train", "val"))
        yield f"Stage {stage}: {train:,} nodes to learn from, {val:,} to judge by, {own['epochs']} epochs; then proven."
    config = fit_config(data, tries)
    yield planned_search(data, config)
    yield from planned_trials(config, sources, alone=pruner is not None)
