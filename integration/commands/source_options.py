"""Command-line options of `label` and `record`: how sources are read and coded, and where they come from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from integration.commands.encode_options import size_option
from integration.recording.config import SourceConfig
from toolkit.cli.options import Command, adding, commas, numbers


def source_options(default: SourceConfig, made: str) -> Callable[[Command], Command]:
    """Decorator that adds SOURCES, the options of `SourceConfig`, --sources-tsv and --overwrite.

    `made` is the kind of folder that comes of it, as `data set`.
    """
    return adding(
        (
            click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path)),
            click.option(
                "-o", "--output", required=True, type=click.Path(path_type=Path), help=f"Folder of the {made}."
            ),
            click.option(
                "--cq", default=commas(default.cq), show_default=True, callback=numbers,
                help="Constant-quality levels, 0 to 63.",
            ),
            click.option(
                "--cpu-used", default=default.cpu_used, show_default=True, type=click.IntRange(0, 6),
                help="Speed preset.",
            ),
            click.option(
                "--usage", default=default.usage, show_default=True, type=click.Choice(["good", "allintra"]),
                help="libaom's usage; AVIF encoders code in allintra.",
            ),
            click.option(
                "--four-way/--no-4way", default=default.four_way, show_default=True,
                help="Search HORZ_4 and VERT_4, as libaom does by default.",
            ),
            size_option(default.size),
            click.option("--frames", type=click.IntRange(1), help="Only the first N frames of each source."),
            click.option(
                "--split", default=default.split, show_default=True, help="auto, train, val, test, or a TSV file."
            ),
            click.option("--raw", help="Layout of raw .yuv files, WxH[:bitdepth], or a TSV of names and layouts."),
            click.option("--allow-truncated", is_flag=True, help="Take clips that are cut short as far as they go."),
            click.option(
                "--jobs", default=default.jobs, show_default=True, type=click.IntRange(0),
                help="Processes; 0 for one a core.",
            ),
            click.option(
                "--sources-tsv", "licences", type=click.Path(exists=True, path_type=Path),
                help="TSV of licences: sha256, licence, source.",
            ),
            click.option("--overwrite", is_flag=True, help=f"Replace a {made} that is there."),
        )
    )  # fmt: skip


def record_sources(
    run: Callable[..., None], config: Callable[..., SourceConfig], doing: str, options: dict[str, Any], **apart: Any
) -> None:
    """Call `label` or `record` with the parsed options, those `apart` that its config lacks, and show progress."""
    from toolkit.cli.progress import counted

    paths, output = options.pop("sources"), options.pop("output")
    apart |= {name: options.pop(name) for name in ("licences", "overwrite")}
    with counted(doing) as progress:
        run(paths, output, config(**options), **apart, progress=lambda done, total: progress(done, total, doing))
