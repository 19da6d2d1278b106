"""`av1part record`: photographs or clips to a record of libaom's search."""

from pathlib import Path
from typing import Any

import click

from integration.commands.encode_options import keyint_options
from integration.recording.config import RecordConfig
from toolkit.cli.options import commas, numbers
from toolkit.files import quoted

_D = RecordConfig()


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The record's folder.")
@click.option("--cq", default=commas(_D.cq), show_default=True, callback=numbers, help="Constant-quality levels.")
@click.option("--cpu-used", default=_D.cpu_used, show_default=True, type=click.IntRange(0, 6), help="Speed preset.")
@click.option(
    "--usage",
    default=_D.usage,
    show_default=True,
    type=click.Choice(["good", "allintra"]),
    help="libaom's usage; AVIF encoders code in allintra.",
)
@click.option("--four-way/--no-4way", default=_D.four_way, show_default=True, help="Search HORZ_4 and VERT_4.")
@keyint_options(_D.keyint, _D.lag, "Largest distance between key frames; above 1, inter frames are recorded.")
@click.option("--size", default="960x540", show_default=True, help="Shrink to fit WxH; `source` keeps the size.")
@click.option("--frames", type=click.IntRange(1), help="Only the first N frames of each source.")
@click.option("--split", default=_D.split, show_default=True, help="auto, train, val, test, or a TSV file.")
@click.option("--raw", help="Layout of .yuv files, WxH[:bitdepth], or a TSV of names and layouts.")
@click.option("--share", default=_D.share, show_default=True, type=click.FloatRange(0, 1, min_open=True),
              help="Share of the superblocks whose search is kept.")  # fmt: skip
@click.option("--seed", default=_D.seed, show_default=True, help="Seed that draws the superblocks.")
@click.option(
    "--pruner", type=click.Path(path_type=Path), help="Record under this pruner: a folder, or a name of `av1part zoo`."
)
@click.option("--price", type=float, help="Loss that a pixel of time may cost it.  [default: the pruner's own]")
@click.option("--jobs", default=_D.jobs, show_default=True, type=click.IntRange(0), help="Processes; 0 for one a core.")
@click.option("--sources-tsv", type=click.Path(exists=True, path_type=Path), help="Licences: sha256, licence, source.")
@click.option("--allow-truncated", is_flag=True, help="Take clips that are cut short as far as they go.")
@click.option("--overwrite", is_flag=True, help="Replace a record that is there.")
def record(sources: tuple[Path, ...], output: Path, sources_tsv: Path | None, overwrite: bool, **options: Any) -> None:
    """Code SOURCES with libaom and keep what it knew and found at every node, for `av1part fit`.

    By default every frame is a key frame. With --keyint above 1 the inter frames are recorded and the key frames are
    not, for a pruner of inter frames. The streams are those of an encode that records nothing. With --pruner, a second
    round: what surrounds and follows a decision is as in an encode with the pruner, and every frame is coded without it
    too, for its bits and time. A run that was stopped goes on.
    """
    if options["price"] is not None and options["pruner"] is None:
        raise click.UsageError("--price is the pruner's: pass --pruner.")
    from integration import zoo
    from integration.media.raw import parse_size
    from integration.recording.record import record as run
    from toolkit.cli.progress import counted, next_step

    if options["pruner"] is not None:
        options["pruner"] = zoo.find(options["pruner"])
    options["size"] = None if options["size"] == "source" else parse_size(options["size"])
    with counted("recording") as progress:
        run(
            sources, output, RecordConfig(**options), licences=sources_tsv, overwrite=overwrite,
            progress=lambda done, total: progress(done, total, "recording"),
        )  # fmt: skip
    click.echo(f"Recorded: {output}")
    next_step(f"fit {quoted(output)} OTHER_SOURCES... -o PRUNER")
