"""Cost of labelling: two processes against one, the hook's CPU time, and memory as a clip grows.

    python benchmarks/labelling.py [jobs] [hook] [costs] [memory]

jobs: wall time of `av1part label` on photographs of the embedded set with --jobs 1 and 2 in turn. Beside the ratio are
the load average and the cores that each run got (CPU seconds over wall seconds), because the ratio means little on
shared cores. hook: the same frames coded by libaom with the hook but no mask, and by untouched libaom, in alternating
order; printed is the median of the extra CPU time, with quartiles. costs: the same for labelling with RD costs of both
node sizes against labelling without, with the size of the data sets. memory (Linux): the peak of a fresh process that
labels a clip of few and of many frames; with --jobs 1 it starts no other process.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from PIL import Image

from integration.codec.encoder import Encoder, EncoderConfig
from integration.codec.libaom_build import libraries
from integration.media.planes import Planes
from integration.media.video import open_clip
from integration.recording.config import LabelConfig
from integration.recording.label import label
from toolkit.data.blockset import BlockSet
from toolkit.data.group import set_name
from toolkit.sample.attribution import FOLDER as SAMPLE

PARTS = ("jobs", "hook", "costs", "memory")
NODES = (16, 32)
"""Node sizes that are labelled together."""


def photographs(folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """Write the middle of embedded photographs (grey), of that width and height, as PNG files; return their paths."""
    data = BlockSet.load(SAMPLE)
    paths = []
    for index in range(count):
        plane = data.luma(index)[0]
        top, left = (plane.shape[0] - size[1]) // 2, (plane.shape[1] - size[0]) // 2
        paths.append(folder / f"{index}.png")
        Image.fromarray(plane[top : top + size[1], left : left + size[0]]).save(paths[-1])
    return paths


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def measure_jobs(folder: Path, count: int, size: tuple[int, int], rounds: int) -> None:
    paths = photographs(folder, count, size)
    ratios = []
    print("| jobs | wall | cores got | load average |\n|---|---|---|---|")
    for number in range(rounds):
        wall = {}
        for jobs in (1, 2) if number % 2 == 0 else (2, 1):
            config = LabelConfig(size=None, split="train", jobs=jobs)
            before, cpu = time.perf_counter(), cpu_seconds()
            label(paths, folder / f"set-{number}-{jobs}", config)
            wall[jobs] = time.perf_counter() - before
            cores = (cpu_seconds() - cpu) / wall[jobs]
            print(f"| {jobs} | {wall[jobs]:.1f} s | {cores:.2f} | {os.getloadavg()[0]:.1f} |", flush=True)
        ratios.append(wall[1] / wall[2])
    print(f"\n{count} photographs of {size[0]}x{size[1]}, 4 cq: {spread(ratios)} times as fast with --jobs 2\n")


def measure_hook(folder: Path, size: tuple[int, int], pairs: int) -> None:
    found = libraries()
    frames = [next(iter(open_clip(path).frames())) for path in photographs(folder, 2, size)]
    for cpu_used in (1, 4):
        config = EncoderConfig(*size, cpu_used=cpu_used)
        coded = [code(config, library, frames)[1] for library in (found.hook, found.stock)]
        assert coded[0] == coded[1], "the hook has changed the stream"
        ratios = []
        for number in range(pairs):
            sides = (found.hook, found.stock) if number % 2 == 0 else (found.stock, found.hook)
            seconds = {library: code(config, library, frames)[0] for library in sides}
            ratios.append(100 * (seconds[found.hook] / seconds[found.stock] - 1))
        print(
            f"cpu-used {cpu_used}, {size[0]}x{size[1]}, {pairs} pairs: the hook costs {spread(ratios, '+.2f')} percent"
        )
    print()


def measure_costs(folder: Path, count: int, size: tuple[int, int], rounds: int) -> None:
    paths, ratios, bytes_of = photographs(folder, count, size), [], {}
    for number in range(rounds):
        seconds = {}
        for costs in (True, False) if number % 2 == 0 else (False, True):
            output = folder / f"costs-{number}-{costs}"
            before = cpu_seconds()
            label(paths, output, LabelConfig(size=None, split="train", jobs=1, nodes=NODES, with_costs=costs))
            seconds[costs] = cpu_seconds() - before
            for node in NODES:
                folder_of = output / set_name(node)
                bytes_of[node, costs] = sum(p.stat().st_size for p in folder_of.rglob("*") if p.is_file())
        ratios.append(100 * (seconds[True] / seconds[False] - 1))
    print(
        f"{count} photographs of {size[0]}x{size[1]}, 4 cq, node sizes 16 and 32, {rounds} pairs: RD costs take "
        f"{spread(ratios, '+.2f')} percent of CPU time"
    )
    for node in NODES:
        kib = [bytes_of[node, costs] / 1024 for costs in (False, True)]
        print(f"{node}x{node} nodes: {kib[0]:.0f} KiB without, {kib[1]:.0f} KiB with costs")
    print()


def code(config: EncoderConfig, library: Path, frames: Sequence[Planes]) -> tuple[float, list[bytes]]:
    """Encode frames; return the CPU seconds and the packets."""
    with Encoder(config, library=library) as encoder:
        before = time.process_time()
        packets = [encoder.encode(planes).data for planes in frames]
        return time.process_time() - before, packets


def measure_memory(folder: Path, size: tuple[int, int], lengths: tuple[int, int]) -> None:
    planes = next(iter(open_clip(photographs(folder, 1, size)[0]).frames()))
    peaks = []
    print("| frames | peak memory | raw clip |\n|---|---|---|")
    for frames in lengths:
        clip = folder / f"clip{frames}.yuv"
        with clip.open("wb") as file:
            for number in range(frames):
                for plane in planes:
                    file.write(np.roll(plane, number, axis=1).tobytes())
        command = [sys.executable, __file__, "--inside", str(clip), "--raw", f"{size[0]}x{size[1]}"]
        peak = int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        peaks.append(peak)
        print(f"| {frames} | {peak / 1024:.1f} MiB | {clip.stat().st_size / (1 << 20):.1f} MiB |", flush=True)
    per_frame = (peaks[1] - peaks[0]) * 1024 / (lengths[1] - lengths[0])
    nodes = (size[0] // 16) * (size[1] // 16)
    print(
        f"\n{size[0]}x{size[1]}, 4 cq: {per_frame / 1024:.1f} KiB a frame, {per_frame / (4 * nodes):.0f} bytes a block "
        f"of the result; a frame has {sum(p.nbytes for p in planes) / 1024:.0f} KiB"
    )


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Median and quartiles as text."""
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option("--photographs", "count", default=8, show_default=True)
@click.option("--size", nargs=2, default=(256, 144), show_default=True)
@click.option("--rounds", default=3, show_default=True, help="Repetitions of `jobs` and `costs`.")
@click.option("--pairs", default=40, show_default=True, help="Pairs of encodes of `hook`.")
@click.option("--lengths", nargs=2, default=(8, 64), show_default=True, help="Frames of the clips of `memory`.")
@click.option("--inside", type=click.Path(path_type=Path), hidden=True)
@click.option("--raw", hidden=True)
def main(
    parts: tuple[str, ...],
    count: int,
    size: tuple[int, int],
    rounds: int,
    pairs: int,
    lengths: tuple[int, int],
    inside: Path | None,
    raw: str | None,
) -> None:
    """Print the measurements as Markdown."""
    if inside is not None:
        config = LabelConfig(cpu_used=6, size=None, split="train", raw=raw, jobs=1)
        label([inside], inside.with_suffix(".set"), config)
        # Not ru_maxrss, which starts from the memory of the process that started this one.
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        print(status["VmHWM"].removesuffix("kB"))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "jobs" in (parts or PARTS):
            measure_jobs(folder, count, size, rounds)
        if "hook" in (parts or PARTS):
            measure_hook(folder, size, pairs)
        if "costs" in (parts or PARTS):
            measure_costs(folder, count, size, rounds)
        if "memory" in (parts or PARTS):
            measure_memory(folder, size, lengths)


if __name__ == "__main__":
    main()
