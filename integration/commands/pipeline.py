"""`av1part pipeline`: stage 008, between proven bundles and the encoder."""

import json
from pathlib import Path
from typing import Any

import click

from export.graph.profiles import PROVIDERS
from integration.pipeline.config import BuildConfig, EvalConfig
from toolkit.cli.options import config_options
from toolkit.files import check_free, quoted
from toolkit.folders import BLOCKSET, BUNDLE, PIPELINE, check_folder

_BUILD = BuildConfig()
_PATH = click.Path(path_type=Path)
_provider = click.option("--provider", type=click.Choice(PROVIDERS), help="Default: the one PIPE was built for.")
_unproven = click.option("--allow-unproven", is_flag=True, help="Go on without a passing parity report; it is logged.")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def pipeline() -> None:
    """Chain proven bundles, with a pruner if you like; look at what they make, and evaluate it."""


@pipeline.command()
@click.argument("bundles", metavar="BUNDLE...", type=_PATH, nargs=-1)
@click.option("-o", "--output", type=_PATH, required=True, help="Pipeline folder to make.")
@click.option("--provider", type=click.Choice(PROVIDERS), default=_BUILD.provider, show_default=True)
@click.option(
    "--policy",
    "thresholds",
    multiple=True,
    metavar="NAME[@LOW-HIGH]=VALUE",
    help="A threshold, at every qindex or at LOW to HIGH; repeatable.",
)
@click.option(
    "--pruner", type=_PATH, help="Decides inside the search of masked frames: a folder, or a name of `av1part zoo`."
)
@_unproven
@click.option("--overwrite", is_flag=True, help="Replace a pipeline that is there.")
def build(
    bundles: tuple[Path, ...],
    output: Path,
    provider: str,
    thresholds: tuple[str, ...],
    pruner: Path | None,
    allow_unproven: bool,
    overwrite: bool,
) -> None:
    """Copy BUNDLEs into a pipeline: Stage 2 alone, or with any of Stages 1, 3-rect and 3-ab; and a pruner with them.

    Refuses a bundle without a passing parity report for its exact bytes on the provider, bundles of different node
    sizes, bit depths or encoder settings, and a pruner of another libaom, usage, speed or 4-way setting. A pruner alone
    needs no pipeline: its folder goes wherever a pipeline does.
    """
    if not bundles and pruner:
        raise click.UsageError(
            f"A pruner alone is a pipeline already, as in encode CLIP --pipeline {pruner} -o OUT.ivf. "
            "Name the BUNDLEs whose masks go with it."
        )
    if not bundles:
        raise click.UsageError("Missing argument 'BUNDLE...'.")
    for path in bundles:
        check_folder(path, BUNDLE)
    check_free(output, overwrite)
    from integration.commands.pipeline_tables import print_inside, print_pipeline
    from integration.encoding.opening import named
    from integration.pipeline.build import build_pipeline
    from integration.pipeline.policy import Policy
    from toolkit.cli.progress import next_step

    policy = Policy.from_text(thresholds)
    config, inside = BuildConfig(provider, allow_unproven), named((), pruner).decider()
    print_pipeline(output, build_pipeline(bundles, output, policy, config, overwrite=overwrite, pruner=inside), policy)
    if inside:
        print_inside(inside)
    next_step(f"pipeline eval {quoted(output)} DATA")


@pipeline.command()
@click.argument("path", metavar="PIPE", type=_PATH)
@_json
def info(path: Path, as_json: bool) -> None:
    """Verify every byte of PIPE and say what it masks with, and what prunes inside the search beside the masks."""
    check_folder(path, PIPELINE)
    from integration.commands.pipeline_tables import print_inside, print_pipeline
    from integration.pipeline.pipeline import Pipeline

    pipe = Pipeline.load(path, threads=1)
    if as_json:
        click.echo(json.dumps(pipe.manifest))
        return
    print_pipeline(path, pipe.bundles, pipe.policy)
    if pipe.pruner:
        print_inside(pipe.pruner)


@pipeline.command("eval")
@click.argument("path", metavar="PIPE", type=_PATH)
@click.argument("data", type=_PATH)
@config_options(EvalConfig)
@click.option("--any-settings", is_flag=True, help="Accept data made with other encoder settings.")
@_provider
@_unproven
@_json
def evaluate(
    path: Path,
    data: Path,
    any_settings: bool,
    provider: str | None,
    allow_unproven: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Score PIPE on a held-out split of DATA, beside the trivial baselines."""
    check_folder(path, PIPELINE)
    check_folder(data, BLOCKSET)
    from integration.commands.pipeline_tables import print_scores
    from integration.pipeline.pipeline import Pipeline
    from integration.pipeline.score import score_pipeline
    from toolkit.cli.progress import next_step
    from toolkit.data.blockset import BlockSet

    config = EvalConfig(**options)
    pipe, blocks = Pipeline.load(path, provider, allow_unproven=allow_unproven), BlockSet.load(data)
    for bundle in pipe.bundles.values():
        bundle.check_data(blocks, any_settings=any_settings)
        bundle.check_held_out(blocks, config.split)
    scores = score_pipeline(pipe.cascade, pipe.policy, blocks, config)
    about = {"pipeline_sha256": pipe.sha256, "data_sha256": blocks.sha256}
    if as_json:
        click.echo(json.dumps({**about, **scores}))
        return
    print_scores(scores)
    if "policy_fit" in pipe.manifest:
        next_step(f"bench encoder CLIPS --pipeline {quoted(path)} -o BENCH")
        return
    click.echo("Its thresholds were not chosen by what they cost in the encoder; masks may make it slower.", err=True)
    next_step(f"policy fit {quoted(path)} --data DATA_WITH_COSTS -o FITTED")
