"""`av1part bench`: measurements that a reviewer can repeat."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from integration.bench.config import BenchConfig
from integration.codec.config import four_way_of
from integration.commands.encode_options import four_way_option, provider_option
from integration.commands.source_options import planned_encodes
from integration.encoding.config import DECIDING
from toolkit.cli.grouped import grouped_option
from toolkit.cli.long_command import LongCommand, keeping
from toolkit.cli.options import config_options
from toolkit.files import quoted

_PATH = click.Path(path_type=Path)


@click.group()
def bench() -> None:
    """Measure encodes with masks or a pruner beside encodes without, in one run."""


@click.command(cls=LongCommand)
@click.argument("clips", metavar="CLIP...", type=_PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=_PATH, required=True, help="Report folder; encodes that it holds are reused.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@grouped_option(
    "--pipeline",
    "pipelines",
    multiple=True,
    type=_PATH,
    group=DECIDING,
    help="Pipeline to judge, with its pruner if it holds one; repeatable, once a node size. Or a pruner, as --pruner.",
)
@grouped_option("--pruner", type=_PATH, group=DECIDING, help="Pruner to judge: a folder, or a name of `av1part zoo`.")
@provider_option
@four_way_option("as the models were made")
@config_options(BenchConfig, but=("four_way",))
@click.pass_context
def encoder(
    ctx: click.Context,
    /,
    clips: tuple[Path, ...],
    output: Path,
    pipelines: tuple[Path, ...],
    pruner: Path | None,
    provider: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Encode CLIPs with and without masks or a pruner; report BD-rate (PSNR-Y) against CPU time, deciding included.

    Every frame is a key frame unless --keyint says otherwise. Writes report.json, pareto.svg and index.html into the
    report folder. With --threads 1,2 the report also has wall times with 1 and 2 threads.
    """
    from integration.media.sources import expand

    expand(clips)
    from integration.encoding.opening import named

    given = named(pipelines, pruner)
    from integration.bench.report import reuse, write_report
    from integration.bench.run import run_bench
    from integration.commands.bench_tables import print_bench
    from toolkit.cli.progress import counted, next_step

    opened, masks = given.decider(), given.masks(1, provider)
    options["four_way"] = four_way_of(options["four_way"], *(model.encoder for model in (opened, masks) if model))
    keep = keeping(ctx, output)
    with counted("encoding") as progress:

        def counting(done: int, total: int, what: str) -> None:
            keep()
            progress(done, total, what)

        report = run_bench(clips, output, BenchConfig(**options), masks, counting, opened)
    page = write_report(report, output)
    if said := reuse(report):
        click.echo(f"Warning: {said}", err=True)
    if as_json:
        click.echo(json.dumps(report))
        return
    print_bench(report, page)
    if masks:
        next_step(f"encode CLIP{''.join(f' --pipeline {quoted(path)}' for path in given.pipelines)} -o OUT.mp4")


bench.add_command(encoder)


@encoder.planned
def _plan(
    clips: tuple[Path, ...], pipelines: tuple[Path, ...], pruner: Path | None, provider: str | None, **options: Any
) -> Iterator[str]:
    """Lines on the encodes that the benchmark would make or reuse."""
    from integration.bench.run import arms_of
    from integration.encoding.opening import named

    given = named(pipelines, pruner)
    opened, masks = given.decider(), given.masks(1, provider)
    options["four_way"] = four_way_of(options["four_way"], *(model.encoder for model in (opened, masks) if model))
    config = BenchConfig(**{name: value for name, value in options.items() if name not in ("output", "as_json")})
    return planned_encodes(config, clips, config.cq, config.repeats * len(arms_of(config, masks, opened)))
