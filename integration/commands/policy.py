"""`av1part policy`: thresholds between probabilities and masks."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from integration.codec.config import four_way_of
from integration.commands.encode_options import four_way_option
from integration.commands.source_options import planned_encodes
from integration.tuning.config import PolicyFitConfig
from toolkit.cli.long_command import LongCommand
from toolkit.cli.options import config_options
from toolkit.files import check_free, quoted
from toolkit.folders import BLOCKSET, PIPELINE, check_folder

if TYPE_CHECKING:
    from toolkit.data.blockset import BlockSet

_PATH = click.Path(path_type=Path)


@click.group()
def policy() -> None:
    """Choose the thresholds between probabilities and masks."""


@click.command(cls=LongCommand)
@click.argument("pipe", metavar="PIPE", type=_PATH)
@click.option("--data", type=_PATH, required=True, help="Data set with RD costs, as `label` makes it.")
@click.option("-o", "--output", type=_PATH, required=True, help="Pipeline folder to make.")
@click.option(
    "--clips", "clips", metavar="CLIP", type=_PATH, multiple=True, help="Clip to try policies on; repeatable."
)
@click.option("--overwrite", is_flag=True, help="Replace a pipeline that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@four_way_option("as the models were made")
@config_options(PolicyFitConfig, but=("four_way", "keyint", "lag"))
def fit(
    pipe: Path, data: Path, output: Path, clips: tuple[Path, ...], overwrite: bool, as_json: bool, **options: Any
) -> None:
    """Choose PIPE's thresholds by recorded RD costs, to save most time for at most --target-loss.

    The thresholds of --rules are sought together, for each range of qindex; the others stay off. The loss is that of RD
    cost. With --clips it is BD-rate: the clips are encoded under the policy and under the same preset without masks,
    and the search is repeated until the loss fits. Where PIPE holds a pruner, its loss counts too, and what it gives
    without masks is coded and printed first. Writes a copy of PIPE with the chosen policy. Where no policy saves time,
    that is an error, and nothing is written.
    """
    from integration.media.sources import expand

    check_folder(pipe, PIPELINE)
    check_folder(data, BLOCKSET)
    expand(clips)
    check_free(output, overwrite)
    from integration.commands.policy_tables import fit_json, print_fit, trial_log
    from integration.pipeline.pipeline import Pipeline
    from integration.tuning.fit import fit_on
    from toolkit.cli.progress import next_step, shown
    from toolkit.data.blockset import BlockSet

    source, costs = Pipeline.load(pipe, threads=1), BlockSet.load(data)
    options["four_way"] = four_way_of(options["four_way"], source.encoder)
    config = PolicyFitConfig(**options)
    with shown():
        found = fit_on(source, costs, clips, output, config, trial_log(), overwrite=overwrite)
    if as_json:
        click.echo(json.dumps(fit_json(found)))
        return
    print_fit(found, config, output)
    next_step(f"bench encoder CLIP --pipeline {quoted(output)} -o REPORT")


policy.add_command(fit)


@fit.planned
def _plan(pipe: Path, data: Path, clips: tuple[Path, ...], **options: Any) -> Iterator[str]:
    """Lines on the nodes that a policy would be sought on, and on its trials."""
    from integration.pipeline.pipeline import Pipeline
    from toolkit.data.blockset import BlockSet

    source = Pipeline.load(pipe, threads=1)
    options["four_way"] = four_way_of(options["four_way"], source.encoder)
    own = {name: value for name, value in options.items() if name not in ("output", "overwrite", "as_json")}
    config = PolicyFitConfig(**own)
    yield planned_search(BlockSet.load(data), config)
    if clips:
        yield from planned_trials(config, clips, alone=source.pruner is not None)


def planned_search(data: "BlockSet", config: PolicyFitConfig) -> str:
    """Line on the nodes that thresholds would be sought on."""
    nodes = len(data.split_index(config.split))
    return f"{len(config.rules)} thresholds for {len(config.ranges)} ranges of qindex, sought on {nodes:,} nodes."


def planned_trials(config: PolicyFitConfig, clips: Sequence[Path], *, alone: bool) -> Iterator[str]:
    """Lines on the encodes of policies, each beside an unmasked one; `alone`: of the pruner without masks too."""
    yield f"At most {config.checks} policies are tried{', and the pruner without masks' if alone else ''}:"
    yield from planned_encodes(config, clips, config.cq, 2 * (config.checks + alone) * config.repeats)
