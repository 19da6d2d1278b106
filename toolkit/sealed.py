"""Read and check sealed JSON documents: every kind of folder is refused for the same reasons in the same words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

from toolkit.errors import ToolkitError
from toolkit.files import MAX_JSON_BYTES, is_sealed, read_json

Entries = Mapping[str, type | tuple[type, ...]]
"""Expected type of each entry by its place, as in "model.stage". A parent stands before its own entries."""
_WHOLE = 1 << 63


def read_sealed(
    file: Path, kind: str, version: int, what: str, mend: str, entries: Entries, *, limit: int = MAX_JSON_BYTES
) -> dict[str, Any]:
    """Read a document of at most `limit` bytes and check it; ToolkitError as `read_json` and `check_sealed`."""
    return check_sealed(read_json(file, limit), file, kind, version, what, mend, entries)


def check_sealed(
    document: Any, file: Path, kind: str, version: int, what: str, mend: str, entries: Entries
) -> dict[str, Any]:
    """Return the document if its seal (`toolkit.files.seal`) is intact and it holds these entries.

    `what` says whose document it is, as in "a bundle's"; `mend` is a sentence on how to make it again. Raises
    ToolkitError on another kind or format version, on a document edited after it was sealed, and on an entry that is
    missing or of another type.
    """
    if not isinstance(document, dict) or document.get("kind") != kind:
        found = document.get("kind") if isinstance(document, dict) else type(document).__name__
        raise ToolkitError(f"{file}: not {what} (kind {found!r:.60}, expected {kind!r}). {mend}")
    found = document.get("format_version")
    if type(found) is not int or found != version:
        raise ToolkitError(f"{file}: format version {found!r:.60}, this av1part reads {version}. {mend}")
    if not is_sealed(document):
        raise ToolkitError(f"{file} was edited: its sha256 does not match. {mend}")
    check_entries(document, entries, str(file), mend)
    return document


def check_fields(cls: type, values: Mapping[str, Any], what: str) -> None:
    """Raise ToolkitError unless each value has the type of the dataclass's field of that name."""
    hints = get_type_hints(cls)
    for name in values.keys() & hints.keys():
        kinds = get_args(hints[name]) or (hints[name],)
        if float in kinds:
            kinds = (*kinds, int)
        if type(values[name]) not in kinds:
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise ToolkitError(f"{what}: {name} is {values[name]!r:.80}, expected {expected}.")


def check_entries(document: Any, entries: Entries, what: str, mend: str) -> None:
    """Raise ToolkitError unless `document` is an object with every entry of the right type. A bool is not a number."""
    if not isinstance(document, dict):
        raise ToolkitError(f"{what} is {type(document).__name__}, expected an object. {mend}")
    for place, kind in entries.items():
        value: Any = document
        for key in place.split("."):
            value = value.get(key)
        kinds = kind if isinstance(kind, tuple) else (kind,)
        strange = isinstance(value, bool) and bool not in kinds
        strange |= isinstance(value, int) and abs(value) > _WHOLE  # larger than any count or size that this tool writes
        if strange or not isinstance(value, kinds):
            expected = " or ".join(k.__name__ for k in kinds)
            raise ToolkitError(f"{what}: {place} is {value!r:.80}, expected {expected}. {mend}")
