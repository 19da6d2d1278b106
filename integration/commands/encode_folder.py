"""What `av1part encode` does with several pictures: code them into a folder, and say what became of them."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from integration.encoding.config import EncodeConfig, distances

if TYPE_CHECKING:
    from integration.encoding.folder import Done
    from integration.pruning.bundle import PrunerBundle
    from toolkit.cluster import Cluster


def code_folder(
    paths: Sequence[Path],
    folder: Path,
    pruner: "PrunerBundle | None",
    options: dict[str, Any],
    where: "int | Cluster",
    *,
    without: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Code pictures into a folder, but those that are there unless `overwrite`; ToolkitError where one failed.

    `where`: the number of processes, 0 for one a core, or a cluster.
    """
    from integration.encoding.folder import Job, code_all, outputs_of
    from toolkit.cli.progress import coding
    from toolkit.errors import ToolkitError
    from toolkit.escaping import visible

    began = time.perf_counter()
    four_way = options["four_way"]
    options |= distances(options["keyint"], options["lag"], intra=True, learnt={}) | {"four_way": True}
    settings = EncodeConfig(**options)
    if settings.price is not None and not settings.searches:
        raise click.UsageError("--price is a pruner's, and at this speed libaom searches no partitions. Leave it out.")
    outputs = outputs_of(paths, folder)
    wanted = {source: target for source, target in outputs.items() if overwrite or not target.exists()}
    jobs = [Job(source, target, settings, four_way, pruner, without) for source, target in wanted.items()]
    folder.mkdir(parents=True, exist_ok=True)
    with coding("files a second") as progress:
        done = code_all(jobs, where, progress) if jobs else []
    seconds, there = time.perf_counter() - began, len(outputs) - len(jobs)
    for line in (line for one in done for line in one.notes):
        click.echo(visible(line), err=True)
    for line, count in Counter(one.said for one in done if one.said).items():
        click.echo(visible(f"{count} of {len(done)} pictures: {line}"), err=True)
    click.echo(json.dumps(_as_json(done, there, seconds)) if as_json else _summary(done, there, seconds))
    if failed := [one for one in done if one.report is None]:
        listed = "\n".join(one.error for one in failed)
        raise ToolkitError(f"{len(failed)} of {len(done)} pictures could not be coded:\n{listed}")


def _as_json(done: "Sequence[Done]", there: int, seconds: float) -> dict[str, Any]:
    pictures = [
        {"source": str(one.source), "output": str(one.output), "pruner": one.pruned or None, "error": one.error or None}
        | {"said": one.said or None}
        | (one.report.to_dict() if one.report else {})
        for one in done
    ]
    return {"pictures": pictures, "there_already": there, "wall_seconds": seconds}


def _summary(done: "Sequence[Done]", there: int, seconds: float) -> str:
    """What became of the pictures, one fact a line."""
    reports = [one.report for one in done if one.report]
    rate = f", {len(reports) / seconds:.2f} files a second" if reports else ""
    lines = {
        "pictures": f"{len(reports)} coded" + (f", {there} there already (--overwrite replaces them)" if there else "")
    }
    if reports:
        lines["bytes"] = str(sum(report.bytes for report in reports))
        lines["encoding"] = f"{sum(report.encode_seconds for report in reports):.2f} CPU s"
        pruned = [one for one in done if one.pruned]
        lines["pruned"] = f"{len(pruned)} of {len(reports)}" + "".join(
            f", by {name}" for name in sorted({one.pruned for one in pruned})
        )
    lines["wall"] = f"{seconds:.2f} s{rate}"
    return "\n".join(f"{name}: {value}" for name, value in lines.items())
