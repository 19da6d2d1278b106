"""Changes to sealed files, and values that a mutation puts in."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from export.bundle.bundle import BESIDE, SIZE_LIMITS
from toolkit.files import json_bytes, seal, sha256_file

NUMBERS: tuple[Any, ...] = (-1, 0, 1 << 31, 1 << 62, 10**400, -(1 << 63), 0.5, 1e308, True, None, "12", [], {})


TEXTS: tuple[Any, ...] = (
    "",
    "\0",
    "../../etc/passwd",
    "/etc/passwd",
    "a" * 100_000,
    "\ud800",
    7,
    None,
    [[]],
    {"a": {}},
)


def write_json(file: Path, document: Any) -> None:
    """Write a JSON file byte for byte as av1part does, whatever it says; what no file of ours can hold, as text."""
    try:
        file.write_bytes(json_bytes(document))
    except ValueError:
        file.write_text(json.dumps(document))


def edit_manifest(bundle: Path, change: Callable[[dict[str, Any]], Any], *, resealed: bool = True) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    change(manifest)
    write_json(bundle / "manifest.json", seal(manifest) if resealed else manifest)


def places(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from places(item)


def mutations(file: Path) -> Iterator[str]:
    """Write a sealed document again and again, sealed anew, without one of its entries or with another value there.

    Yields what was done. Every value of NUMBERS and TEXTS comes up, spread over the entries. Of a list of more than
    three only the first two are taken. At the end the file is as it was.
    """
    content = file.read_bytes()
    document = json.loads(content)
    values = [*NUMBERS, *(text for text in TEXTS if text != "\ud800")]
    for number, (parent, key) in enumerate(list(places(document))):
        if parent is document and key in ("kind", "format_version", "sha256"):
            continue
        if isinstance(parent, list) and len(parent) > 3 and key > 1:
            continue
        kept = copy.copy(parent)
        for value in (..., *values[number % 12 :: 12]):
            if value is ...:
                parent.pop(key)
            else:
                parent[key] = value
            write_json(file, seal(document))
            yield f"{key!r:.80} of {kept!r:.200} " + ("removed" if value is ... else f"is {value!r:.80}")
            parent.clear()
            parent.update(kept) if isinstance(parent, dict) else parent.extend(kept)
    file.write_bytes(content)


def reseal(bundle: Path) -> None:
    """Hashes, sizes and seal as they would be of an honest bundle with these files; reports and signature gone."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    for name in SIZE_LIMITS:
        manifest["files"][name] = {"bytes": (bundle / name).stat().st_size, "sha256": sha256_file(bundle / name)}
    write_json(bundle / "manifest.json", seal(manifest))
    for name in BESIDE:
        (bundle / name).unlink(missing_ok=True)
