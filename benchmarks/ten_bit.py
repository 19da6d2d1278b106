"""Make 10-bit 4:2:0 clips (.y4m) of 8-bit photographs and clips, with content in the lowest bits.

    python benchmarks/ten_bit.py SOURCE... -o FOLDER --size 640x360

Each photograph is shrunk in floating point, to fit the size and to at most half of its own, so that every sample is a
mean of several and has more than 8 bits of precision; then BT.709, limited range, 10 bit, chroma averaged over 2x2. A
clip is halved in both directions: the sum of four samples of 8 bit is one of 10.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from integration.media.photographs import is_photograph
from integration.media.raw import parse_size
from integration.media.video import open_clip


def shrunk(photo: Path, size: tuple[int, int]) -> NDArray[np.float64]:
    """RGB of the photograph, 0 to 1 (H, W, 3), of even sides."""
    image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
    scale = min(size[0] / image.width, size[1] / image.height, 0.5)
    sides = int(image.width * scale) // 2 * 2, int(image.height * scale) // 2 * 2
    planes = [Image.fromarray(np.asarray(band).astype(np.float32)) for band in image.split()]
    small = [np.asarray(p.resize(sides, Image.Resampling.LANCZOS), np.float64) for p in planes]
    return np.stack([band / 255 for band in small], 2).clip(0, 1)


def ten_bit(rgb: NDArray[np.float64]) -> list[NDArray[np.uint16]]:
    """Planes y (H, W), u and v (H/2, W/2) of 10 bit."""
    luma = 0.2126 * rgb[:, :, 0] + 0.7152 * rgb[:, :, 1] + 0.0722 * rgb[:, :, 2]
    blue, red = (rgb[:, :, 2] - luma) / 1.8556, (rgb[:, :, 0] - luma) / 1.5748
    height, width = luma.shape
    halves = [c.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)) for c in (blue, red)]
    planes = [876 * luma + 64, *(896 * half + 512 for half in halves)]
    return [plane.round().clip(0, 1023).astype("<u2") for plane in planes]


def halved(plane: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Sums of the samples in 2x2 (H/2, W/2); a last odd row or column is left out."""
    height, width = plane.shape[0] // 2, plane.shape[1] // 2
    cut = plane[: 2 * height, : 2 * width].astype("<u2")
    return cut.reshape(height, 2, width, 2).sum(axis=(1, 3), dtype="<u2")


def frames(source: Path, size: tuple[int, int], most: int) -> Iterator[list[NDArray[np.uint16]]]:
    """10-bit planes of a photograph, or of at most that many frames of a clip."""
    if is_photograph(source):
        yield ten_bit(shrunk(source, size))
        return
    clip = open_clip(source, None, most)
    if clip.bit_depth != 8:
        raise click.UsageError(f"{source}: has {clip.bit_depth} bit, expected 8.")
    side = clip.width // 4 * 4, clip.height // 4 * 4  # even sides after halving, of chroma too
    for y, u, v in clip.frames():
        chroma = (plane[: side[1] // 2, : side[0] // 2] for plane in (u, v))
        yield [halved(y[: side[1], : side[0]]), *map(halved, chroma)]


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the .y4m files.")
@click.option("--size", default="640x360", show_default=True, help="Shrink photographs to fit WxH.")
@click.option("--frames", "most", default=2, show_default=True, help="Frames of a clip.")
def main(sources: tuple[Path, ...], output: Path, size: str, most: int) -> None:
    """Write a 10-bit clip of each of SOURCES."""
    output.mkdir(parents=True, exist_ok=True)
    for source in sources:
        parts = []
        for planes in frames(source, parse_size(size), most):
            height, width = planes[0].shape
            parts += [b"FRAME\n", *(plane.tobytes() for plane in planes)]
        header = f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420p10 XYSCSS=420P10\n".encode()
        (output / f"{source.stem}.y4m").write_bytes(b"".join([header, *parts]))


if __name__ == "__main__":
    main()
