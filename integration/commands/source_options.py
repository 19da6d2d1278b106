"""Command-line options of `label` and `record`: how sources are read and coded, and where they come from."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from integration.media.config import ReadConfig
from integration.recording.config import RECORDING, SourceConfig
from toolkit.cli.grouped import grouped_option
from toolkit.cli.options import Command, adding, config_options, scheduler_option
from toolkit.cluster import Cluster
from toolkit.option import Options

_APART = ("sources", "output", "licences", "overwrite", "record", "scheduler", "mixed_cpus")
"""Parameters of `label` and `record` that are not of their configs."""


def source_options(config: type[SourceConfig], made: str, but: Sequence[str]) -> Callable[[Command], Command]:
    """Decorator that adds SOURCES, the options of the config `but` these, --sources-tsv and --overwrite.

    `made` is the kind of folder that comes of it, as `data set`.
    """
    path = click.Path(path_type=Path)
    return adding(
        (
            click.argument("sources", nargs=-1, required=True, type=path),
            grouped_option("-o", "--output", required=True, type=path, help=f"Folder of the {made}."),
            grouped_option("--overwrite", is_flag=True, help=f"Replace a {made} that is there."),
            config_options(config, but=but),
            grouped_option(
                "--sources-tsv",
                "licences",
                type=click.Path(exists=True, path_type=Path),
                group=RECORDING,
                help="TSV of licences: sha256, licence, source.",
            ),
            scheduler_option(RECORDING),
            grouped_option(
                "--mixed-cpus",
                is_flag=True,
                group=RECORDING,
                help="With --scheduler, let a record's CPU times come from several models of CPU.",
            ),
        )
    )


def planned_encodes(config: ReadConfig, paths: Sequence[Path], cq: Sequence[int], arms: int = 1) -> Iterator[str]:
    """Lines on the encodes that a command would make: of every source at every cq, by every arm."""
    from integration.media.sources import identify

    files = identify(paths)
    for file in files:
        clip = config.open(file.path)
        length = "1 frame" if clip.count == 1 else f"{clip.count or 'as many'} frames"
        yield f"  {file.name}: {length} of {clip.width}x{clip.height}, {clip.bit_depth} bit"
    by = f" by {arms} arms" if arms > 1 else ""
    yield f"{len(files)} sources at {len(cq)} cq{by}: {len(files) * len(cq) * arms} encodes."


def planned_sources(config: Callable[..., SourceConfig], options: dict[str, Any]) -> Iterator[str]:
    """Lines on the pieces that `label` or `record` would code."""
    own = {name: value for name, value in options.items() if name not in _APART}
    made = config(**own)
    return planned_encodes(made, options["sources"], made.cq)


def record_sources(
    run: Callable[..., None], config: Callable[..., SourceConfig], doing: str, options: Options, **apart: Any
) -> None:
    """Call `label` or `record` with the parsed options, those `apart` that its config lacks, and show progress."""
    from toolkit.cli.progress import counted

    paths, output = options.pop("sources"), options.pop("output")
    apart |= {name: options.pop(name) for name in ("licences", "overwrite")}
    scheduler, mixed = options.pop("scheduler"), options.pop("mixed_cpus")
    cluster = Cluster(scheduler, mixed) if scheduler else None

    def said() -> str:
        return f"{doing} on {cluster.workers} workers" if cluster else doing

    with counted(doing) as progress:
        run(
            paths, output, config(**options), **apart, cluster=cluster,
            progress=lambda done, total: progress(done, total, said()),
        )  # fmt: skip
