"""`av1part label`: photographs or clips to a BlockSet of real AV1 partitions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from integration.commands.source_options import planned_sources, record_sources, source_options
from integration.recording.config import RECORDING, LabelConfig
from toolkit.cli.grouped import grouped_option
from toolkit.cli.long_command import LongCommand
from toolkit.cli.options import commas
from toolkit.files import quoted
from toolkit.partition import NODES


def parse_nodes(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[int, ...]:
    """Node sizes from an option that may be repeated and whose values may be lists with commas."""
    found = {part.strip() for value in values for part in value.split(",")}
    if not found <= {str(node) for node in NODES}:
        expected = ", ".join(map(str, NODES))
        raise click.BadParameter(f"{','.join(values)!r}: expected one of {expected}, or several with commas.")
    return tuple(sorted(map(int, found)))


@click.command(cls=LongCommand)
@source_options(LabelConfig, "data set", but=("threads", "keyint", "lag"))
@grouped_option(
    "--node",
    "nodes",
    default=[commas(LabelConfig.nodes)],
    show_default=True,
    multiple=True,
    callback=parse_nodes,
    group=RECORDING,
    help="Side of the nodes whose partitions are recorded, 8 to 128; 128 where superblocks are. Several, as 8,16,32 or "
    "by repetition, come from one pass; OUTPUT then holds a data set for each: OUTPUT/node8, OUTPUT/node16, ...",
)
@grouped_option(
    "--record",
    type=click.Path(path_type=Path),
    group=RECORDING,
    help="Also write a record of the search there, of every superblock, from the same pass.",
)
def label(record: Path | None, **options: Any) -> None:
    """Code photographs or clips with libaom and record its partitions. A run that was stopped goes on where it was.

    Of a folder among SOURCES, the photographs and clips inside are taken.
    """
    from integration.recording.label import label as run
    from toolkit.cli.progress import next_step
    from toolkit.data.group import set_name

    output, nodes = options["output"], options["nodes"]
    record_sources(run, LabelConfig, "labelling", options, record=record)
    click.echo(output)
    next_step(f"data info {quoted(output if len(nodes) == 1 else output / set_name(nodes[0]))}")


@label.planned
def _plan(**options: Any) -> Iterator[str]:
    return planned_sources(LabelConfig, options)
