"""av1part encoder: build libaom with the hook, or say what is there."""

from pathlib import Path

import click


@click.group()
def encoder() -> None:
    """Build libaom with the hook, or say what is there."""


@encoder.command()
@click.option(
    "--source",
    type=click.Path(exists=True, path_type=Path),
    help="The pinned source archive, or a folder with libaom's source, instead of fetching it through apt.",
)
@click.option("--sanitize", is_flag=True, help="A separate build under AddressSanitizer and UBSan.")
def build(source: Path | None, sanitize: bool) -> None:
    """Build libaom and the hook into the user's cache; the second call is instant. Prints the library's path."""
    from rich.console import Console
    from rich.progress import Progress

    from integration.codec import libaom_build

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("libaom", total=None)
        done = libaom_build.build(
            source, sanitize=sanitize, progress=lambda n, total: progress.update(task, completed=n, total=total)
        )
    click.echo(done.hook)


@encoder.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--sanitize", is_flag=True, help="Of the sanitized build.")
@click.option("--flags", is_flag=True, help="Only what a C compiler needs to build a host: cc host.c $(...).")
def info(as_json: bool, sanitize: bool, flags: bool) -> None:
    """Versions, build flags and path; exits 1, naming what mends it, where something is missing."""
    import json
    import shlex

    from integration.codec import libaom_build, native

    found = libaom_build.libraries(sanitize=sanitize)
    if flags:
        return click.echo(shlex.join(found.flags))
    facts = {"path": str(found.hook), "stock": str(found.stock), "flags": shlex.join(found.flags), **found.info}
    # The sanitized library loads only where the sanitizer's runtime is preloaded.
    facts["libaom"] = "sanitized" if sanitize else native.libaom_version(native.load(found.hook))
    click.echo(json.dumps(facts) if as_json else "\n".join(f"{key}: {value}" for key, value in facts.items()))
