"""`av1part encoder`: build libaom with the hook, install it for other encoders, or show the build."""

from pathlib import Path

import click

from toolkit.files import quoted


@click.group()
def encoder() -> None:
    """Build libaom with the hook, install it for other encoders, or show the build."""


_libaom = click.option(
    "--libaom", metavar="VERSION", help="Version of libaom.  [default: AV1PART_LIBAOM, else the newest pinned one]"
)


@encoder.command()
@_libaom
@click.option(
    "--source",
    type=click.Path(exists=True, path_type=Path),
    help="The version's pinned source archive, or a folder with libaom's source to take as it is in place of that "
    "version, instead of fetching it through apt.",
)
@click.option("--sanitize", is_flag=True, help="Make the separate build under AddressSanitizer and UBSan.")
def build(libaom: str | None, source: Path | None, sanitize: bool) -> None:
    """Build libaom and the hook into the user's cache and print the library's path. A second call is instant.

    What you build is used in place of the installed wheel av1part-libaom, until you remove it from the cache.
    Versions lie side by side in the cache. AV1PART_LIBAOM=VERSION lets every command use another than the default.
    """
    from rich.console import Console
    from rich.progress import Progress

    from integration.codec import libaom_build
    from toolkit.cli.progress import next_step

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("libaom", total=None)
        done = libaom_build.build(
            source,
            libaom=libaom,
            sanitize=sanitize,
            progress=lambda n, total: progress.update(task, completed=n, total=total),
        )
    click.echo(done.hook)
    next_step("label CLIPS... -o DATA")


@encoder.command()
@_libaom
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--sanitize", is_flag=True, help="Show the sanitized build.")
@click.option("--flags", is_flag=True, help="Print only a C compiler's flags to build a host: cc host.c $(...).")
def info(libaom: str | None, as_json: bool, sanitize: bool, flags: bool) -> None:
    """Print versions, build flags and paths, and whether a build of yours or the installed wheel is used.

    Exits with 1 where something is missing, and says how to get it.
    """
    import json
    import shlex

    from integration.codec import libaom_build, native
    from integration.codec.system_libaom import system_libaom

    found = libaom_build.libraries(libaom=libaom, sanitize=sanitize)
    if flags:
        return click.echo(shlex.join(found.flags))
    facts = {
        "origin": found.origin,
        "path": str(found.hook),
        "stock": str(found.stock),
        "flags": shlex.join(found.flags),
        **found.info,
    }
    # The sanitized library can be loaded only where the sanitizer's runtime is preloaded.
    facts["libaom"] = "sanitized" if sanitize else native.libaom_version(native.load(found.hook))
    facts |= {"in_place_of": system_libaom(), "built": libaom_build.built(sanitize=sanitize)}
    click.echo(json.dumps(facts) if as_json else "\n".join(f"{key}: {value}" for key, value in facts.items()))


@encoder.command()
@click.option("--prefix", type=click.Path(path_type=Path), required=True, help="Folder; the library goes to its lib.")
@click.option("--overwrite", is_flag=True, help="Replace another libaom.so.3 that is there.")
def install(prefix: Path, overwrite: bool) -> None:
    """Install libaom.so.3 with pruners inside, for encoders that use libaom's shared library.

    Without AV1PART_PIPELINE its streams are libaom's own, byte for byte. To remove it, delete the file.
    """
    from integration import zoo
    from integration.hosts.install import install as install_library

    target = install_library(prefix, overwrite=overwrite).resolve()
    click.echo(target)
    click.echo(
        f"Use it: LD_LIBRARY_PATH={quoted(target.parent)} AV1PART_PIPELINE={quoted(zoo.FOLDER / 'photo-8bit')} "
        "ffmpeg -i IN -c:v libaom-av1 -usage good -cpu-used 2 -crf 32 OUT"
    )
    click.echo(f"Remove it: rm {quoted(target)}")
