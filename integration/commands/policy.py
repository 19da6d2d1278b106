"""`av1part policy`: the thresholds between probabilities and masks."""

import json
from pathlib import Path
from typing import Any

import click

from integration.commands.encode_options import encode_options
from integration.tuning.config import FitConfig
from toolkit.cli.options import commas, numbers, words
from toolkit.data.format import HELD_OUT

_D = FitConfig()
_PATH = click.Path(path_type=Path)


@click.group()
def policy() -> None:
    """Thresholds between probabilities and masks."""


@policy.command()
@click.argument("pipe", metavar="PIPE", type=_PATH)
@click.option("--data", type=_PATH, required=True, help="Data set labelled --with-costs.")
@click.option("-o", "--output", type=_PATH, required=True, help="Pipeline folder to make.")
@click.option("--split", type=click.Choice(HELD_OUT), default=_D.split, show_default=True, help="Of the data set.")
@click.option("--target-loss", type=float, default=_D.target_loss, show_default=True, help="Percent; see above.")
@click.option("--rules", default=commas(_D.rules), show_default=True, callback=words, help="Thresholds to seek.")
@click.option("--ranges", default=commas(_D.ranges), show_default=True, callback=numbers, help="Last qindex of each.")
@click.option("--share", type=float, default=_D.share, show_default=True, help="Of encode time, that of these nodes.")
@click.option("--clips", "clips", metavar="CLIP", type=_PATH, multiple=True, help="Try it by encoding; repeatable.")
@click.option(
    "--checks", type=click.IntRange(1), default=_D.checks, show_default=True, help="Policies to try on clips."
)
@encode_options(_D)
@click.option("--overwrite", is_flag=True, help="Replace a pipeline that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def fit(
    pipe: Path, data: Path, output: Path, clips: tuple[Path, ...], overwrite: bool, as_json: bool, **options: Any
) -> None:
    """Choose PIPE's thresholds by the RD costs that an encoder recorded: most time saved for at most a loss.

    The thresholds of --rules are sought together, for each range of qindex; the others stay off. The loss is of RD
    cost; with --clips it is of BD-rate: the policy is tried by encoding them, beside the same preset without masks, and
    sought again until it fits. Writes a copy of PIPE with the chosen policy.
    """
    from integration.commands.policy_tables import fit_json, print_fit, trial_log
    from integration.pipeline.pipeline import Pipeline
    from integration.tuning.fit import fit_on
    from toolkit.data.blockset import BlockSet

    source, config, costs = Pipeline.load(pipe, threads=1), FitConfig(**options), BlockSet.load(data)
    found = fit_on(source, costs, clips, output, config, trial_log(), overwrite=overwrite)
    click.echo(json.dumps(fit_json(found))) if as_json else print_fit(found, config, output)
