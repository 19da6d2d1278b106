"""Commands that people type, with and without the box inside their libaom: user CPU time, bytes and PSNR.

    python benchmarks/typed.py PICTURE... -o benchmarks/results/typed-commands.json

Every picture is coded by every command, without and with the pruners in the box, arms interleaved; it must be one that
none of them learnt from. Time is the command's user CPU time, its start and the reading of the picture included. PSNR
is of RGB, all samples of a picture together. Each figure is the mean over pictures of with against without.
"""

import json
import os
import resource
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import av
import click
import numpy as np
from PIL import Image

from integration import zoo
from integration.codec.libaom_build import libraries

AVIFENC, FFMPEG = ["avifenc", "-j", "1"], ["ffmpeg", "-loglevel", "error", "-y", "-i"]
COMMANDS = {
    "avifenc in.png out.avif": (".png", lambda source, out: [*AVIFENC, source, out]),
    "avifenc in.jpg out.avif": (".jpg", lambda source, out: [*AVIFENC, source, out]),
    "avifenc -y 420 in.png out.avif": (".png", lambda source, out: [*AVIFENC, "-y", "420", source, out]),
    "avifenc -a tune=iq in.png out.avif": (".png", lambda source, out: [*AVIFENC, "-a", "tune=iq", source, out]),
    "avifenc -s 4 in.png out.avif": (".png", lambda source, out: [*AVIFENC, "-s", "4", source, out]),
    "avifenc -s 4 -y 420 in.png out.avif": (
        ".png", lambda source, out: [*AVIFENC, "-s", "4", "-y", "420", source, out],
    ),
    "ffmpeg -i in.png -c:v libaom-av1 -cpu-used 3 -crf 32 out.mkv": (
        ".png", lambda source, out: [*FFMPEG, source, "-c:v", "libaom-av1", "-cpu-used", "3", "-crf", "32", out],
    ),
}  # fmt: skip
"""What is typed, the ending of its picture, and the words of it with files in their places."""


def user_seconds(command: Sequence[str], pipeline: str) -> float:
    """User CPU seconds of a command that has our library, and the pruners whose folders `pipeline` names."""
    env = os.environ | {"LD_LIBRARY_PATH": str(libraries().aom.parent), "AV1PART_PIPELINE": pipeline}
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(command, env=env, check=True, capture_output=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def psnr(picture: Path, coded: Path) -> float:
    """PSNR of RGB in dB."""
    with av.open(str(coded)) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="rgb24")
    error = np.asarray(Image.open(picture).convert("RGB")).astype(np.int64) - shown
    return float(10 * np.log10(255**2 / (error**2).mean()))


def measure(typed: str, picture: Path, work: Path, box: str) -> tuple[float, float, float]:
    """Percent of time saved, percent of bytes added, and dB gained by a command on a picture with the box inside."""
    ending, words = COMMANDS[typed]
    source, output = work / f"in{ending}", work / f"out{typed[typed.rindex('.') :]}"
    with Image.open(picture) as image:
        image.convert("RGB").save(source, **({"quality": 95} if ending == ".jpg" else {}))
    found = []
    for pipeline in ("", box):
        output.unlink(missing_ok=True)
        seconds = user_seconds([str(word) for word in words(source, output)], pipeline)
        found.append((seconds, output.stat().st_size, psnr(source, output)))
    (time, size, quality), (own_time, own_size, own_quality) = found
    return 100 * (1 - own_time / time), 100 * (own_size / size - 1), own_quality - quality


@click.command()
@click.argument("pictures", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="JSON file of the table.")
@click.option("--machine", default="2 shared cores of an Intel Xeon, other work beside", show_default=True)
def main(pictures: tuple[Path, ...], output: Path, machine: str) -> None:
    """Measure every command on PICTURES and write the table's figures."""
    box = ":".join(str(zoo.find(Path(name))) for name in zoo.names())
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for typed in COMMANDS:
            found = [measure(typed, picture, Path(work), box) for picture in pictures]
            saved, bytes_, quality = (round(float(np.mean(values)), 2) for values in zip(*found, strict=True))
            rows.append([f"`{typed}`", saved, bytes_, quality])
            click.echo(rows[-1])
    with Image.open(pictures[0]) as image:
        size = "{}x{}".format(*image.size)
    columns = [
        {"title": "typed after `av1part run --`"},
        {"title": "user CPU time saved", "format": "{:.1f}%"},
        {"title": "bytes", "format": "{:+.2f}%"},
        {"title": "PSNR of RGB", "format": "{:+.2f} dB"},
    ]
    table = {
        "title": f"Commands as people type them, {len(pictures)} photographs of about {size}",
        "commands": ["python benchmarks/typed.py PICTURE... -o benchmarks/results/typed-commands.json"],
        "machine": machine,
        "versions": {"libaom": libraries().version, "avifenc": "0.11.1 (Debian)", "ffmpeg": "5.1 (Debian)"},
        "date": None,
        "commit": None,
        "columns": columns,
        "rows": rows,
    }
    output.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
