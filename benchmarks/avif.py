"""Print how AVIF pictures of `av1part encode` compare with avifenc's: what avifdec says of both, pixels, bytes.

    python benchmarks/avif.py photos/*.jpg photos/*.png

Both code at quantiser 25, speed 6, without a pruner, each with its own libaom. `differs` are the lines of
`avifdec --info` that are not alike. PSNR is of all RGB samples against the source, as Pillow decodes both.
"""

import argparse
import math
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from integration.encoding.config import EncodeConfig
from integration.encoding.encode import encode_file

AVIFENC = ["avifenc", "-s", "6", "--min", "25", "--max", "25", "--minalpha", "25", "--maxalpha", "25"]
SETTINGS = EncodeConfig(cq=25, cpu_used=6, usage="allintra")


def told(path: Path) -> dict[str, str]:
    """What avifdec says of a file."""
    done = subprocess.run(["avifdec", "--info", path], check=True, capture_output=True, text=True)
    parts = (line[3:].partition(":") for line in done.stdout.splitlines() if line.startswith(" * "))
    return {name.strip(): value.strip() for name, _, value in parts if not name.startswith("Decoded")}


def rgb(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """Samples of a picture, upright, opacity among them where it has any."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
        return np.asarray(upright.convert("RGBA" if upright.has_transparency_data else "RGB"), float)


def psnr(path: Path, source: Path) -> float:
    """PSNR of a decoded picture against its source, in dB."""
    given, found = rgb(source), rgb(path)
    return 10 * math.log10(255 * 255 / ((given - found[..., : given.shape[2]]) ** 2).mean())


def main() -> None:
    """Code the pictures both ways and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+", type=Path)
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "ours.avif"), Path(folder, "theirs.avif")
        for source in parser.parse_args().pictures:
            encode_file(source, ours, SETTINGS, overwrite=True)
            subprocess.run([*AVIFENC, source, theirs], check=True, capture_output=True)
            here, there = told(ours), told(theirs)
            differs = [
                f"{name} {here.get(name)} / {there.get(name)}" for name in there if here.get(name) != there[name]
            ]
            sizes = [path.stat().st_size for path in (ours, theirs)]
            ratios.append(sizes[0] / sizes[1])
            quality = f"{psnr(ours, source):.2f} / {psnr(theirs, source):.2f} dB"
            line = f"{source.name}: {here['Format']}, {sizes[0]} / {sizes[1]} bytes, {quality}"
            print(f"{line}; differs: {', '.join(differs) or 'nothing'}")
    spread = f"{np.mean(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    print(f"{len(ratios)} pictures, bytes against avifenc's {spread}")


if __name__ == "__main__":
    main()
