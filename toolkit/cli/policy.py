"""`av1part policy`: the thresholds between probabilities and masks."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from integration.bench_config import FitConfig
from toolkit.cli.options import commas, encode_options, shares

_D = FitConfig()
_PATH = click.Path(path_type=Path)


@click.group()
def policy() -> None:
    """Thresholds between probabilities and masks."""


@policy.command()
@click.argument("pipe", metavar="PIPE", type=_PATH)
@click.argument("more", metavar="", type=_PATH, nargs=-1)
@click.option("--clips", "clips", metavar="CLIP...", type=_PATH, multiple=True, required=True, help="Validation clips.")
@click.option("-o", "--output", type=_PATH, required=True, help="Pipeline folder to make.")
@click.option("--target-loss", type=float, default=_D.target_loss, show_default=True, help="BD-rate, percent.")
@click.option("--cpu-used", type=click.IntRange(0, 6), default=_D.cpu_used, show_default=True)
@click.option("--shares", default=commas(_D.shares), show_default=True, callback=shares, help="Of nodes, to try.")
@click.option("--checks", type=click.IntRange(0), default=_D.checks, show_default=True, help="Combinations to try.")
@encode_options(_D)
@click.option("--overwrite", is_flag=True, help="Replace a pipeline that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the trials as JSON.")
def fit(
    pipe: Path,
    more: tuple[Path, ...],
    clips: tuple[Path, ...],
    output: Path,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Choose PIPE's thresholds by encoding validation clips: the most time saved within a loss of BD-rate.

    Losses and savings are against the same preset without masks, inference charged. Writes a copy of PIPE with the
    chosen policy, and prints every policy that was tried.
    """
    from integration.pipeline import Pipeline
    from integration.policy_fit import fit_policy, write_fitted
    from toolkit.cli.policy_tables import print_fit, trial_log
    from toolkit.files import check_free

    check_free(output, overwrite)
    source, config, paths = Pipeline.load(pipe, threads=1), FitConfig(**options), [*clips, *more]
    with trial_log() as progress:
        found = fit_policy(source, paths, output.parent / f".{output.name}.work", config, progress)
    write_fitted(source, found, paths, output, config, overwrite=overwrite)
    click.echo(json.dumps(asdict(found))) if as_json else print_fit(found, config, output)
