"""Make 10-bit 4:2:0 pictures (.y4m) of 8-bit photographs, with content in the lowest bits.

    python benchmarks/ten_bit.py PHOTO... -o FOLDER --size 640x360

Each photograph is shrunk in floating point, to fit the size and to at most half of its own, so that every sample is a
mean of several and has more than 8 bits of precision; then BT.709, limited range, 10 bit, chroma averaged over 2x2.
"""

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from integration.media.video import parse_size


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


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the .y4m files.")
@click.option("--size", default="640x360", show_default=True, help="Shrink to fit WxH.")
def main(photos: tuple[Path, ...], output: Path, size: str) -> None:
    """Write a 10-bit picture of each of PHOTOS."""
    output.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        planes = ten_bit(shrunk(photo, parse_size(size)))
        height, width = planes[0].shape
        header = f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420p10 XYSCSS=420P10\nFRAME\n".encode()
        (output / f"{photo.stem}.y4m").write_bytes(header + b"".join(plane.tobytes() for plane in planes))


if __name__ == "__main__":
    main()
