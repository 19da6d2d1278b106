"""ffmpeg with and without a pruner inside its libaom: BD-rate and user CPU time, both sides in one run.

    python benchmarks/hosts.py PHOTO...

Every photograph is shrunk to fit --size, and coded by ffmpeg's libaom-av1 at four CRF for each arm, arms interleaved.
Time is ffmpeg's user CPU time, its start and the reading of the picture included. The anchor is cpu-used 2 without a
pruner.
"""

import os
import resource
import subprocess
import tempfile
from pathlib import Path

import click
import numpy as np

from integration import zoo
from integration.bench.bd import Curve, bd_rate
from integration.codec.libaom_build import libraries
from integration.media.video import open_clip

CRF = (20, 32, 43, 55)


def user_seconds(command: list[str], pipeline: str) -> float:
    """User CPU seconds of a command that has our library, and a pruner unless `pipeline` is empty."""
    env = os.environ | {"LD_LIBRARY_PATH": str(libraries().aom.parent), "AV1PART_PIPELINE": pipeline}
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(command, env=env, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def psnr(first: Path, second: Path) -> float:
    """PSNR of luma, in dB, of two clips of one frame."""
    one, two = (next(open_clip(path).frames())[0].astype(float) for path in (first, second))
    return float(10 * np.log10(255**2 / ((one - two) ** 2).mean()))


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--pruner", default="photo-8bit", show_default=True)
@click.option("--size", default="768x512", show_default=True)
def main(photos: tuple[Path, ...], pruner: str, size: str) -> None:
    """Print one Markdown table."""
    folder = str(zoo.find(Path(pruner)))
    width, height = size.split("x")
    arms = {"cpu-used 2": (2, ""), f"cpu-used 2 with {pruner}": (2, folder), "cpu-used 3": (3, "")}
    losses: dict[str, list[float]] = {arm: [] for arm in arms}
    seconds: dict[str, list[float]] = {arm: [] for arm in arms}
    with tempfile.TemporaryDirectory() as work:
        source, output = Path(work) / "source.y4m", Path(work) / "out.ivf"
        for photo in photos:
            shrink = f"scale='min({width},iw)':'min({height},ih)':force_original_aspect_ratio=decrease"
            shrink += ":force_divisible_by=2"
            begin = ["ffmpeg", "-loglevel", "error", "-y", "-i"]
            subprocess.run([*begin, photo, "-vf", shrink, "-pix_fmt", "yuv420p", "-frames:v", "1", source], check=True)
            curves: dict[str, list[tuple[int, float]]] = {arm: [] for arm in arms}
            spent = dict.fromkeys(arms, 0.0)
            for crf in CRF:
                for arm, (cpu_used, pipeline) in arms.items():
                    codec = ["-c:v", "libaom-av1", "-usage", "good", "-cpu-used", str(cpu_used), "-crf", str(crf)]
                    spent[arm] += user_seconds([*begin, str(source), *codec, "-b:v", "0", str(output)], pipeline)
                    curves[arm].append((output.stat().st_size, psnr(source, output)))
            anchor = Curve(*zip(*curves["cpu-used 2"], strict=True))
            for arm in arms:
                losses[arm].append(bd_rate(anchor, Curve(*zip(*curves[arm], strict=True))))
                seconds[arm].append(spent[arm])
    total = np.array(seconds["cpu-used 2"])
    click.echo("| ffmpeg | BD-rate | worst photograph | user CPU time saved |\n|---|---|---|---|")
    for arm in arms:
        saved = 100 * float(np.mean(1 - np.array(seconds[arm]) / total))
        click.echo(f"| {arm} | {np.mean(losses[arm]):+.2f}% | {max(losses[arm]):+.2f}% | {saved:.1f}% |")


if __name__ == "__main__":
    main()
