"""`av1part encoder`: build libaom with the hook, or show the build."""

from pathlib import Path

import click


@click.group()
def encoder() -> None:
    """Build libaom with the hook, or show the build."""


@encoder.command()
@click.option(
    "--source",
    type=click.Path(exists=True, path_type=Path),
    help="Pinned source archive, or folder with libaom's source, to use instead of fetching it through apt.",
)
@click.option("--sanitize", is_flag=True, help="Make the separate build under AddressSanitizer and UBSan.")
def build(source: Path | None, sanitize: bool) -> None:
    """Build libaom and the hook into the user's cache and print the library's path. A second call is instant."""
    from rich.console import Console
    from rich.progress import Progress

    from integration.codec import libaom_build
    from toolkit.cli.progress import next_step

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("libaom", total=None)
        done = libaom_build.build(
            source, sanitize=sanitize, progress=lambda n, total: progress.update(task, completed=n, total=total)
        )
    click.echo(done.hook)
    next_step("label CLIPS... -o DATA")


@encoder.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--sanitize", is_flag=True, help="Show the sanitized build.")
@click.option("--flags", is_flag=True, help="Print only a C compiler's flags to build a host: cc host.c $(...).")
def info(as_json: bool, sanitize: bool, flags: bool) -> None:
    """Print versions, build flags and paths. Exits with 1 where something is missing, and says how to get it."""
    import json
    import shlex

    from integration.codec import libaom_build, native

    found = libaom_build.libraries(sanitize=sanitize)
    if flags:
        return click.echo(shlex.join(found.flags))
    facts = {"path": str(found.hook), "stock": str(found.stock), "flags": shlex.join(found.flags), **found.info}
    # The sanitized library can be loaded only where the sanitizer's runtime is preloaded.
    facts["libaom"] = "sanitized" if sanitize else native.libaom_version(native.load(found.hook))
    click.echo(json.dumps(facts) if as_json else "\n".join(f"{key}: {value}" for key, value in facts.items()))
