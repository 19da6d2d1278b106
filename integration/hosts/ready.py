"""What `av1part run` needs before a host starts, remembered while none of the files that it was found in changes.

Light: where all is as it was, no pruner is opened and NumPy is not imported, so that little is spent beside the host.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.files import atomic_write_json, cache_folder

_ROOT = Path(__file__).resolve().parents[2]
_CODE = tuple(_ROOT / "integration" / name for name in ("hosts", "pruning", "codec"))
"""What verifies and what the variables are made by: another version of it asks again."""
_DECIDING = ("AV1PART_CACHE", "AV1PART_LIBAOM", "AV1PART_SANITIZE", "LD_LIBRARY_PATH")
"""Environment variables that the answer depends on."""


@dataclass(frozen=True)
class Ready:
    """Variables with which a host loads our libaom, of that version, and what decides in it."""

    variables: dict[str, str]
    version: str


def ready(paths: Sequence[Path], price: float | None, *, without: bool = False) -> Ready:
    """Make what a host needs ready: verify what `paths` name, by default all of the box, or nothing where `without`.

    Errors as of `models_of`, `libraries` and `variables`. Seals are checked once: as long as every file is as large and
    as old as it was then, the answer is the one of then. Folders of pipelines are opened every time.
    """
    began, cache = time.time_ns(), cache_folder()
    builds = sorted(cache.glob("current-*.json"))
    asked = [[str(path), str(path.absolute()), path.exists()] for path in paths]
    given = [str(_ROOT), asked, price, without, [os.environ.get(name) for name in _DECIDING], [*map(str, builds)]]
    memory = cache / f"run-{hashlib.sha256(json.dumps(given).encode()).hexdigest()[:16]}.json"
    if known := _recalled(memory):
        return known
    from integration.codec.libaom_build import SOURCES, libraries
    from integration.hosts.models import models_of, variables
    from integration.pruning.bundle import PrunerBundle

    built = libraries()
    models = [] if without else models_of(paths)
    found = Ready(variables(models, price, built), built.version)
    if all(isinstance(model, PrunerBundle) for model in models):
        box = [] if paths or without else [_ROOT / "integration" / "zoo"]
        with suppress(OSError, ToolkitError):  # a file that vanishes, or a cache that cannot be written: none is kept
            stamps = _stamps([SOURCES, built.hook.parent, *(model.path for model in models), *box, *_CODE, *builds])
            if all(changed < began for _, _, changed, _ in stamps.values()):  # what was verified has these stamps
                atomic_write_json(memory, asdict(found) | {"files": stamps})
    return found


def _stamps(places: Iterable[Path]) -> dict[str, list[int]]:
    """Size, times and number of every file in these places, and of every folder, whose time tells of a new file."""
    found = {}
    for place in (place.absolute() for place in places):
        found[str(place)] = _stamp(place)
        for root, below, names in os.walk(place):
            below[:] = [name for name in below if name != "__pycache__"]
            found |= {str(path): _stamp(path) for path in (Path(root, name) for name in (*below, *names))}
    return found


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _recalled(memory: Path) -> Ready | None:
    """What was found the last time; None where that is not known, or a file has changed since."""
    try:
        known: dict[str, Any] = json.loads(memory.read_bytes())
        if any(_stamp(Path(path)) != stamp for path, stamp in known["files"].items()):
            return None
        return Ready({str(name): str(value) for name, value in known["variables"].items()}, str(known["version"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
