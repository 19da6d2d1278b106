"""Cut clips into the segments that a pruner of inter frames learns from: lossless, of 8 bit in 4:2:0, of several sizes.

    python benchmarks/video_segments.py CLIPS -o SEGMENTS --test NAME,... --val NAME,...

CLIPS is a folder with clips and SOURCES.tsv, whose columns `file`, `licence`, `origin` or `source`, and `frames` are
read. Of each clip 33 frames from its beginning and, where it is long enough, from its end are kept at 480 and 416
pixels of width, and in training once more at 320, since a smaller picture has other motion in its squares. Clips whose
names begin with a NAME go to that split, all others to training. SEGMENTS then also holds `splits.tsv` and
`licences.tsv` for `av1part record --split ... --sources-tsv ...`. A second run cuts the same bytes.
"""

import csv
import hashlib
import subprocess
from pathlib import Path

import click

FRAMES = 33
WIDTHS, SMALL = (480, 416), 320
FILTERS = {
    "mdn_rabbit": "crop=iw-160:ih:80:0,",  # black columns at both sides
    "bbb_": "crop=iw:ih-48:0:48,",  # a bar for synchronisation at the top
    "androidx_selfie": "select='not(mod(n\\,4))',",  # 120 frames a second
}
"""What is done first to clips whose name begins so."""
LICENCES = {
    "CC0 1.0": "CC0-1.0",
    "CC BY 4.0": "CC-BY-4.0",
    "CC BY 3.0": "CC-BY-3.0",
    "MIT": "MIT",
    "BSD-2-Clause": "BSD-2-Clause",
    "Apache-2.0": "Apache-2.0",
}
"""SPDX identifiers of the licences that SOURCES.tsv names in a longer text."""


def pieces(frames: int, split: str) -> list[tuple[int, int]]:
    """First frame and width of each segment of a clip of so many frames."""
    starts = [0] if frames < 2 * FRAMES else [0, frames - FRAMES]
    found = [(start, WIDTHS[i % len(WIDTHS)]) for i, start in enumerate(starts)]
    return [*found, (starts[-1], SMALL)] if split == "train" else found


def cut(clip: Path, start: int, width: int, target: Path) -> None:
    """Write a segment; raises subprocess.CalledProcessError where ffmpeg fails."""
    first = next((text for name, text in FILTERS.items() if clip.name.startswith(name)), "")
    chain = (
        f"{first}trim=start_frame={start}:end_frame={start + FRAMES},setpts=N/25/TB,"
        f"scale={width}:-2:flags=lanczos+accurate_rnd+bitexact:out_range=tv,format=yuv420p"
    )
    exact = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-threads", "1"]
    command = ["ffmpeg", "-v", "fatal", "-y", "-i", clip, "-map", "0:v:0", "-vf", chain, "-r", "25", "-c:v", "ffv1"]
    subprocess.run([*map(str, command), *exact, "-color_range", "tv", str(target)], check=True)


def licence_of(text: str) -> str:
    """A licence's text with its SPDX identifier before it; a usage error where that is none of a free one."""
    found = next((name for words, name in LICENCES.items() if words in text), None)
    if found is None:
        raise click.UsageError(f"{text!r}: expected a licence of {', '.join(LICENCES)}.")
    return found if text == found else f"{found} ({text})"


def listed(folder: Path) -> list[dict[str, str]]:
    """Rows of a folder's SOURCES.tsv."""
    with (folder / "SOURCES.tsv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--test", default="", help="Beginnings of names, with commas between.")
@click.option("--val", default="", help="The same.")
def main(folders: tuple[Path, ...], output: Path, test: str, val: str) -> None:
    """Cut the clips of FOLDERS."""
    output.mkdir(parents=True)
    given = {name: split for split, names in (("test", test), ("val", val)) for name in names.split(",") if name}
    splits, licences = [], ["sha256\tlicence\tsource"]
    for clip, row in ((folder / row["file"], row) for folder in folders for row in listed(folder)):
        split = next((split for name, split in given.items() if clip.name.startswith(name)), "train")
        for index, (start, width) in enumerate(pieces(int(row["frames"]), split)):
            target = output / f"{clip.stem}-{index}.mkv"
            cut(clip, start, width, target)
            splits.append(f"{target.stem}\t{split}")
            digest = hashlib.sha256(target.read_bytes()).hexdigest()
            licences.append(f"{digest}\t{licence_of(row['licence'])}\t{row.get('origin') or row['source']} {clip.name}")
    (output / "splits.tsv").write_text("\n".join(splits) + "\n")
    (output / "licences.tsv").write_text("\n".join(licences) + "\n")
    click.echo(f"{output}: {len(splits)} segments.")


if __name__ == "__main__":
    main()
