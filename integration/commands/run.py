"""`av1part run`: another encoder with pruners inside its libaom."""

from pathlib import Path

import click


@click.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "--pipeline",
    "pipelines",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Pruner: a folder, or a name of `av1part zoo`; repeatable, each encoder takes the first that was made "
    "for what it codes.  [default: all in the box]",
)
@click.option("--no-pipeline", is_flag=True, help="Our libaom with nothing in it, to compare with.")
@click.option("--price", type=float, help="What the pruner may lose for the time that it saves.  [default: its own]")
@click.option("--stats", type=click.Path(path_type=Path), help="Append what each encoder did: a line of JSON.")
@click.option("--quiet", is_flag=True, help="Leave out the last line on stderr.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def run(
    pipelines: tuple[Path, ...],
    no_pipeline: bool,
    price: float | None,
    stats: Path | None,
    quiet: bool,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND, such as ffmpeg or avifenc, with pruners inside its libaom; exits with its status.

    A pruner is for key frames, as those in the box are, or for inter frames. What no pruner was made for is coded as by
    libaom alone, and a line on stderr says so.

    \b
    av1part run -- ffmpeg -i in.mp4 -c:v libaom-av1 -usage good -cpu-used 2 -crf 32 out.mkv
    """
    from integration import zoo
    from integration.hosts.run import run_host
    from integration.pruning.bundle import PrunerBundle

    if no_pipeline and (pipelines or price is not None):
        raise click.UsageError("--no-pipeline prunes nothing: leave --pipeline and --price out, or it.")
    chosen = () if no_pipeline else pipelines or map(Path, zoo.names())
    folders = [zoo.find(path) for path in chosen]
    done = run_host(command, [PrunerBundle.load(folder) for folder in folders], price, stats)
    if not quiet and folders:
        name = Path(command[0]).name
        if seen := done.key_frames + done.inter_frames:
            kind = "" if done.key_frames and done.inter_frames else "key " if done.key_frames else "inter "
            said = f"{done.pruned_frames} of {seen} {kind}frames pruned, {done.skipped:,} of {done.asked:,} "
            said += "decisions skip a part of the search"
        else:
            said = f"nothing was pruned: no encoder of libaom's shared library took a pruner in {name}"
        click.echo(f"av1part: {said}.", err=True)
    click.get_current_context().exit(done.status)
