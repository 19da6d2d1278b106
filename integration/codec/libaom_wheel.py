"""The encoder without a compiler: libraries that the wheel av1part-libaom has installed."""

import platform
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.files import read_json

WHEEL = "av1part-libaom"
MODULE = "av1part_libaom"
MACHINE, GLIBC = "x86_64", (2, 34)
"""What the wheel runs on: its machine, and the oldest glibc that has every symbol of its libraries."""


def installed(libaom: str) -> Path | None:
    """Folder of the installed wheel where it holds this version of libaom, else None."""
    spec = find_spec(MODULE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    return folder if read_json(folder / "build.json")["version"] == libaom else None


def check_sources(info: dict[str, Any], ours: dict[str, Any], command: str) -> None:
    """Raise ToolkitError unless a wheel was made of our C sources, flags and wrapped calls.

    `info` is the wheel's build.json, `ours` holds the same keys for this package; `command` builds the encoder.
    """
    if all(info.get(key) == value for key, value in ours.items()):
        return
    theirs, here = info.get("hook_sources", {}), ours["hook_sources"]
    differing = sorted(name for name in {*theirs, *here} if theirs.get(name) != here.get(name))
    raise ToolkitError(
        f"The wheel {WHEEL} {info.get('wheel')} was made of another version of av1part: "
        f"{', '.join(differing) or 'flags or wrapped calls'} of its C code differ. Install the two wheels of one "
        f"`make wheels`, or run `{command}`, whose libraries are then used in place of the wheel's."
    )


def advice(machine: str | None = None, libc: tuple[str, str] | None = None) -> str:
    """Sentence that offers the wheel, or says why this machine cannot use it."""
    machine, (name, version) = machine or platform.machine(), libc or platform.libc_ver()
    least = ".".join(map(str, GLIBC))
    if machine == MACHINE and name == "glibc" and tuple(map(int, version.split(".")[:2])) >= GLIBC:
        return f"The wheel {WHEEL} brings it without a compiler."
    found = f"{machine} with {f'{name} {version}' if name == 'glibc' else 'another C library'}"
    return f"The wheel {WHEEL} is for {MACHINE} with glibc {least} or newer; this is {found}."
