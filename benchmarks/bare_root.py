"""From nothing to a faster encode by the wheels alone, in a bare Debian root: what it takes, in seconds and megabytes.

    make wheels && sudo .venv/bin/python benchmarks/bare_root.py PHOTO.png

Needs root and debootstrap, and takes the machine's own archive and package index. The root has Python and no compiler,
CMake or git. Timed are the environment, `pip install` of the wheels with the locked versions (downloads included), the
encode, and the same by `--no-pipeline`. Then ffmpeg and avifenc are installed by apt, and `av1part run` runs them.
"""

import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
VENV = "/opt/venv"
ABSENT = ("cc", "gcc", "cmake", "ninja", "nasm", "git", "make")
PHOTO = "/photo.png"
ENCODE = f"{VENV}/bin/av1part encode {PHOTO} --cpu-used 2 --cq 32"
CLIENTS = {
    "ffmpeg": f"ffmpeg -loglevel error -y -i {PHOTO} -pix_fmt yuv420p -c:v libaom-av1 -usage good -cpu-used 2 -crf 32 "
    "-b:v 0 /out.mkv",
    "avifenc": f"avifenc -s 4 -y 420 {PHOTO} /out.avif",
}


class Bare:
    """A Debian root in a folder, and commands that run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cpu_s = folder, 0.0

    def make(self, mirror: str) -> None:
        packages = "--include=python3,python3-venv,ca-certificates"
        subprocess.run(["debootstrap", "--variant=minbase", packages, "bookworm", self.folder, mirror], check=True)
        for file in ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt"):
            shutil.copy(file, self.folder / file[1:])

    def run(self, command: str) -> float:
        """Seconds of a command, by the clock; CalledProcessError where it fails. `cpu_s` grows by its CPU time."""
        start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        words = ["chroot", self.folder, "sh", "-c", f"mount -t proc proc /proc 2>/dev/null; cd /tmp; {command}"]
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
        index = {key: value for key, value in os.environ.items() if re.match("PIP_(INDEX|TRUST)|https?_proxy", key)}
        # A mount namespace of its own: /proc is gone with the command.
        subprocess.run(["unshare", "--mount", *words], env=variables | index, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu_s += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return time.monotonic() - start

    def megabytes(self, path: str) -> float:
        """Disk space of a folder in the root."""
        done = subprocess.run(["du", "-sk", self.folder / path[1:]], capture_output=True, text=True, check=True)
        return int(done.stdout.split()[0]) / 1024


def measure(root: Bare) -> dict[str, float]:
    """Seconds of each step and megabytes of the environment."""
    root.cpu_s = 0.0
    found = {
        "venv_s": root.run(f"python3 -m venv {VENV}"),
        "install_s": root.run(f"{VENV}/bin/pip install -q --no-cache-dir -c /pins.txt /dist/*.whl"),
        "encode_s": root.run(f"{ENCODE} -o /faster.ivf"),
    }
    found |= {"total_s": sum(found.values()), "total_cpu_s": root.cpu_s}
    found["stock_encode_s"] = root.run(f"{ENCODE} --no-pipeline -o /stock.ivf")
    found["environment_mb"] = root.megabytes(VENV)
    root.run(f"{VENV}/bin/av1part encoder info | grep -E '^(origin|path|version)'")
    root.run("apt-get update -q >/dev/null && apt-get install -y -q ffmpeg libavif-bin >/dev/null")
    for client, command in CLIENTS.items():
        found[f"{client}_s"] = root.run(f"{VENV}/bin/av1part run -- {command}")
    return found


@click.command()
@click.argument("photo", metavar="PHOTO.png", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--dist", type=click.Path(exists=True, path_type=Path), default=ROOT / "dist", help="Folder of the wheels."
)
@click.option("--mirror", default="http://deb.debian.org/debian", show_default=True, help="Debian archive.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder of the root, kept and taken again.")
def main(photo: Path, dist: Path, mirror: str, keep: Path | None) -> None:
    """Install the wheels in DIST into a bare Debian root, encode PHOTO there, and print what it took as JSON."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Bare(keep or Path(temporary) / "root")
        if not root.folder.exists():
            root.make(mirror)
        shutil.rmtree(root.folder / VENV[1:], ignore_errors=True)
        shutil.copytree(dist, root.folder / "dist", dirs_exist_ok=True)
        shutil.copy(photo, root.folder / PHOTO[1:])
        pins = [
            line.partition("\\")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line
        ]
        (root.folder / "pins.txt").write_text("\n".join(pins))
        root.run(f"! command -v {' && ! command -v '.join(ABSENT)}")
        found = measure(root)
    click.echo(json.dumps({key: round(value, 1) for key, value in found.items()}, indent=1))


if __name__ == "__main__":
    main()
