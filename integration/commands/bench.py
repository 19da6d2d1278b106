"""`av1part bench`: measurements that a reviewer can repeat."""

import json
from pathlib import Path
from typing import Any

import click

from integration.bench.config import AGAINST, BenchConfig
from integration.codec.config import four_way_of
from integration.commands.encode_options import encode_options, keyint_options, provider_option
from toolkit.cli.grouped import GroupedCommand
from toolkit.cli.options import commas, numbers, prices, words
from toolkit.files import quoted

_D = BenchConfig()
_PATH = click.Path(path_type=Path)
GROUPS = {
    "Arms": ("pipelines", "pruner", "prices", "presets", "masked", "against", "oracle_stages", "threads", "provider"),
    "Coding": ("cq", "repeats", "usage", "four_way", "keyint", "lag", "any_settings"),
    "The clips": ("frames", "size", "raw", "allow_truncated"),
}
"""Options by the group that --help shows them in."""


@click.group()
def bench() -> None:
    """Measure encodes with masks or a pruner beside encodes without, in one run."""


@bench.command(cls=GroupedCommand, groups=GROUPS)
@click.argument("clips", metavar="CLIP...", type=_PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=_PATH, required=True, help="Report folder; encodes that it holds are reused.")
@click.option(
    "--pipeline",
    "pipelines",
    multiple=True,
    type=_PATH,
    help="Pipeline to judge, with its pruner if it holds one; repeatable, once a node size. Or a pruner, as --pruner.",
)
@click.option("--pruner", type=_PATH, help="Pruner to judge: a folder, or a name of `av1part zoo`.")
@click.option(
    "--prices", default="", callback=prices, help="Prices of the pruner, as in 0.02,0.05.  [default: its own]"
)
@click.option(
    "--presets",
    default=commas(_D.presets),
    show_default=True,
    callback=numbers,
    help="Speeds of libaom alone; the first is the anchor.",
)
@click.option(
    "--masked",
    default=commas(_D.masked),
    show_default=True,
    callback=numbers,
    help="Speeds that are coded with masks or the pruner as well.",
)
@click.option("--against", default=commas(_D.against), callback=words, help=f"Further arms: any of {commas(AGAINST)}.")
@click.option(
    "--oracle-stages", default=commas(_D.oracle_stages), show_default=True, callback=words, help="Arms of the oracle."
)
@click.option(
    "--threads",
    default=commas(_D.threads),
    show_default=True,
    callback=numbers,
    help="Numbers of threads; the first gives CPU times.",
)
@provider_option
@keyint_options(_D.keyint, _D.lag, "Largest distance between key frames, of every encode.")
@encode_options(_D)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def encoder(
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
    with counted("encoding") as progress:
        report = run_bench(clips, output, BenchConfig(**options), masks, progress, opened)
    page = write_report(report, output)
    if said := reuse(report):
        click.echo(f"Warning: {said}", err=True)
    if as_json:
        click.echo(json.dumps(report))
        return
    print_bench(report, page)
    if masks:
        next_step(f"encode CLIP{''.join(f' --pipeline {quoted(path)}' for path in given.pipelines)} -o OUT.mp4")
