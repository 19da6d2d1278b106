"""`av1part env`: the variables of `av1part run`, for a shell, a container or a service."""

from pathlib import Path

import click

from integration.commands.host_options import host_options


@click.command()
@host_options()
@click.option(
    "--format",
    "form",
    type=click.Choice(["sh", "lines"]),
    default="sh",
    show_default=True,
    help="sh: `export` for a shell; lines: NAME=VALUE, for `docker run --env-file` or a service.",
)
def env(pipelines: tuple[Path, ...], price: float | None, form: str) -> None:
    """Print the variables with which any encoder of libaom's shared library prunes, without `av1part run`.

    Nothing of Python then runs beside the encoder. What was pruned is not counted unless AV1PART_STATS names a file.

    \b
    av1part env >env.sh; . ./env.sh
    ffmpeg -i in.mp4 -c:v libaom-av1 -usage good -cpu-used 3 -crf 32 out.mkv
    """
    import shlex

    from integration.hosts.ready import ready
    from toolkit.errors import ToolkitError

    found = ready(pipelines, price).variables
    if broken := next((name for name, value in found.items() if "\n" in value), None):
        raise ToolkitError(f"{broken}: its path has a line break, which cannot be printed. Move the folder.")
    if form == "sh" and price is None:
        click.echo("unset AV1PART_PRICE")
    for name, value in sorted(found.items()):
        click.echo(f"export {name}={shlex.quote(value)}" if form == "sh" else f"{name}={value}")
