"""`av1part record`: photographs or clips to a record of libaom's search."""

from collections.abc import Iterator
from typing import Any

import click

from integration.commands.source_options import planned_sources, record_sources, source_options
from integration.recording.config import RecordConfig
from toolkit.cli.long_command import LongCommand
from toolkit.files import quoted


@click.command(cls=LongCommand)
@source_options(RecordConfig, "record", but=("threads",))
def record(**options: Any) -> None:
    """Code SOURCES with libaom and keep what it knew and found at every node, for `av1part fit`.

    By default every frame is a key frame. With --keyint above 1 the inter frames are recorded and the key frames are
    not, for a pruner of inter frames. The streams are those of an encode that records nothing. A run that was
    stopped goes on.
    """
    from integration.recording.record import record as run
    from toolkit.cli.progress import next_step

    output = options["output"]
    record_sources(run, RecordConfig, "recording", options)
    click.echo(f"Recorded: {output}")
    next_step(f"fit {quoted(output)} OTHER_SOURCES... -o PRUNER")


@record.planned
def _plan(**options: Any) -> Iterator[str]:
    return planned_sources(RecordConfig, options)
