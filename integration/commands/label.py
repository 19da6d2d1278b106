"""`av1part label`: photographs or clips to a BlockSet of real AV1 partitions."""

from pathlib import Path
from typing import Any

import click

from integration.recording.config import LabelConfig
from toolkit.cli.options import commas
from toolkit.files import quoted
from toolkit.partition import NODES

DEFAULT = LabelConfig()


def parse_cq(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r}: expected whole numbers with commas, as in 20,32,43,55.") from None


def parse_nodes(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[int, ...]:
    """Node sizes from an option that may be repeated and whose values may be lists with commas."""
    found = {part.strip() for value in values for part in value.split(",")}
    if not found <= {str(node) for node in NODES}:
        expected = ", ".join(map(str, NODES))
        raise click.BadParameter(f"{','.join(values)!r}: expected one of {expected}, or several with commas.")
    return tuple(sorted(map(int, found)))


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the data set to make.")
@click.option(
    "--cq",
    default=",".join(map(str, DEFAULT.cq)),
    show_default=True,
    callback=parse_cq,
    help="Constant-quality levels, 0 to 63.",
)
@click.option(
    "--cpu-used", default=DEFAULT.cpu_used, show_default=True, type=click.IntRange(0, 6), help="Speed preset."
)
@click.option(
    "--usage",
    default=DEFAULT.usage,
    show_default=True,
    type=click.Choice(["good", "allintra"]),
    help="libaom's usage; AVIF encoders code in allintra.",
)
@click.option(
    "--four-way/--no-4way",
    default=DEFAULT.four_way,
    show_default=True,
    help="Search HORZ_4 and VERT_4, as libaom does by default.",
)
@click.option("--size", default="960x540", show_default=True, help="Shrink to fit WxH; `source` keeps the size.")
@click.option("--frames", type=click.IntRange(1), help="Only the first N frames of each source.")
@click.option("--split", default=DEFAULT.split, show_default=True, help="auto, train, val, test, or a TSV file.")
@click.option("--raw", help="Layout of raw .yuv files, WxH[:bitdepth], or a TSV of names and layouts.")
@click.option("--allow-truncated", is_flag=True, help="Take clips that are cut short as far as they go.")
@click.option(
    "--node",
    "nodes",
    default=[commas(DEFAULT.nodes)],
    show_default=True,
    multiple=True,
    callback=parse_nodes,
    help="Side of the nodes whose partitions are recorded, 8 to 128; 128 where superblocks are. Several, as 8,16,32 or "
    "by repetition, come from one pass; OUTPUT then holds a data set for each: OUTPUT/node8, OUTPUT/node16, ...",
)
@click.option(
    "--with-costs/--no-costs",
    default=DEFAULT.with_costs,
    show_default=True,
    help="Also record the RD cost of every partition that libaom tried: about 1% of the time; at 16x16 nodes the data "
    "set is about twice as large.",
)
@click.option(
    "--search/--no-search",
    default=DEFAULT.search,
    show_default=True,
    help="Also record the features that the search knows at every node, for `train --inside`: 200 bytes a node.",
)
@click.option(
    "--jobs", default=DEFAULT.jobs, show_default=True, type=click.IntRange(0), help="Processes; 0 for one a core."
)
@click.option(
    "--sources-tsv", type=click.Path(exists=True, path_type=Path), help="TSV of licences: sha256, licence, source."
)
@click.option("--overwrite", is_flag=True, help="Replace a data set that is there.")
def label(sources: tuple[Path, ...], output: Path, sources_tsv: Path | None, overwrite: bool, **options: Any) -> None:
    """Code photographs or clips with libaom and record its partitions. A run that was stopped goes on where it was.

    Of a folder among SOURCES, the photographs and clips inside are taken.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from integration.media.raw import parse_size
    from integration.media.sources import expand
    from integration.recording.label import label as run
    from toolkit.cli.progress import next_step
    from toolkit.data.group import set_name

    sources = tuple(expand(sources))
    options["size"] = None if options["size"] == "source" else parse_size(options["size"])
    columns = (TextColumn("labelling"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("labelling", total=None)
        run(
            sources,
            output,
            LabelConfig(**options),
            licences=sources_tsv,
            overwrite=overwrite,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    click.echo(output)
    nodes = options["nodes"]
    next_step(f"data info {quoted(output if len(nodes) == 1 else output / set_name(nodes[0]))}")
