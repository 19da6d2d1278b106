"""`av1part record`: photographs or clips to a record of libaom's search."""

from typing import Any

import click

from integration.commands.encode_options import keyint_options
from integration.commands.source_options import record_sources, source_options
from integration.recording.config import RecordConfig
from toolkit.files import quoted

_D = RecordConfig()


@click.command()
@source_options(_D, "record")
@keyint_options(_D.keyint, _D.lag, "Largest distance between key frames; above 1, inter frames are recorded.")
@click.option("--share", default=_D.share, show_default=True, type=click.FloatRange(0, 1, min_open=True),
              help="Share of the superblocks whose search is kept.")  # fmt: skip
@click.option("--seed", default=_D.seed, show_default=True, help="Seed that draws the superblocks.")
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
