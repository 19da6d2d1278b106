"""Write the card of a pruner in the box from reports of `av1part bench encoder`.

    python benchmarks/zoo_card.py photo-8bit --photographs runs/bench/report.json --machine "2 shared cores"

Measure at the pruner's own price, on pictures that it has not seen, with presets beyond the pruned ones, so that the
report says what libaom's own presets charge for the same time. A report replaces what the card said before of the same
material, bit depth, speed, chroma, tune and size with the same version of libaom; all other rows stay.
"""

import json
from pathlib import Path

import click

from integration import zoo
from integration.zoo.card import CLIPS, FILE, KEY_FRAMES, PHOTOGRAPHS, Card, Row, renewed, rows_of, write_card

_FILES = click.Path(exists=True, dir_okay=False, path_type=Path)


def command_of(report: dict, name: str) -> str:
    """The command that made a report, with the kind of its sources in place of their names."""
    settings = report["settings"]
    size = f" --size {settings['size']}" if settings["size"] else ""
    if settings["keyint"] > 1:
        size += f" --keyint {settings['keyint']} --lag {settings['lag']}"
    size += f" --usage {settings['usage']}" if settings.get("usage", "good") != "good" else ""
    size += f" --chroma {chroma}" if (chroma := settings.get("chroma", 420)) != 420 else ""
    size += f" --tune {tune}" if (tune := settings.get("tune", "psnr")) != "psnr" else ""
    lists = {key: ",".join(map(str, settings[key])) for key in ("presets", "masked", "cq")}
    options = " ".join(f"--{key} {value}" for key, value in lists.items())
    return f"av1part bench encoder SOURCE... --pruner {name} {options} --repeats {settings['repeats']}{size}"


@click.command()
@click.argument("name")
@click.option("--photographs", multiple=True, type=_FILES, help="Report on photographs; repeatable.")
@click.option("--key-frames", multiple=True, type=_FILES, help="Report on key frames of clips; repeatable.")
@click.option("--clips", multiple=True, type=_FILES, help="Report on clips with inter frames; repeatable.")
@click.option("--machine", required=True, help='Class of the machine, as in "2 shared cores".')
@click.option(
    "--not-for", multiple=True, help="Sentence on where it must not be used; repeatable.  [default: as before]"
)
def main(
    name: str,
    photographs: tuple[Path, ...],
    key_frames: tuple[Path, ...],
    clips: tuple[Path, ...],
    machine: str,
    not_for: tuple[str, ...],
) -> None:
    """Write the card of the pruner NAME."""
    folder = zoo.find(Path(name))
    price = json.loads((folder / "manifest.json").read_text())["price"]
    rows: list[Row] = []
    for material, files in ((PHOTOGRAPHS, photographs), (KEY_FRAMES, key_frames), (CLIPS, clips)):
        for file in files:
            report = json.loads(file.read_text())
            rows += rows_of(report, material, price, command_of(report, folder.name), machine)
    if not rows:
        raise click.UsageError("No report given: pass --photographs, --key-frames or --clips.")
    before = Card.load(folder) if (folder / FILE).is_file() else None
    not_for = not_for or (before.not_for if before else ())
    write_card(folder, renewed(before.measured if before else (), rows), not_for)
    for row in rows:
        click.echo(f"{row.material}, cpu-used {row.cpu_used}, libaom {row.libaom}: {row.expected}")


if __name__ == "__main__":
    main()
