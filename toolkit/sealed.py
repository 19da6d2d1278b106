"""Kinds of folder, and their sealed JSON documents: each is refused for the same reasons in the same words."""

import os
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, get_args, get_type_hints

from toolkit.errors import ToolkitError
from toolkit.files import MAX_JSON_BYTES, is_sealed, json_bytes, read_bytes, read_json, sha256_file, tidy

Entries = Mapping[str, type | tuple[type, ...]]
"""Expected type of each entry by its place, as in "model.stage". A parent stands before its own entries."""
_WHOLE = 1 << 63


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder: its name, the file that says so, a part that no other kind has, and its commands."""

    name: str
    file: str
    part: str
    made_by: str
    taken_by: str


KINDS = {
    "av1part-blockset": FolderKind(
        "a data set",
        "manifest.json",
        "blocks.npy",
        "`av1part label` or `av1part data import`",
        "`av1part train`, `fit` and `av1part data info`, and `parity` and `evaluate` as DATA",
    ),
    "av1part-blocksets": FolderKind(
        "a folder of data sets of several node sizes",
        "manifest.json",
        "node16",
        "`av1part label --node 16,32`",
        "every command that takes a data set; name the one inside that you mean, as in node16 or node32",
    ),
    "av1part-run": FolderKind(
        "a run",
        "run.json",
        "checkpoints",
        "`av1part train`",
        "`av1part select`, `evaluate`, `compare`, and `av1part export`, which makes a bundle of it",
    ),
    "av1part-bundle": FolderKind(
        "a bundle",
        "manifest.json",
        "model.onnx",
        "`av1part export`",
        "`av1part parity`, `quantize`, `bundle info`, and `av1part pipeline build`, which makes a pipeline of it",
    ),
    "av1part-pipeline": FolderKind(
        "a pipeline",
        "manifest.json",
        "bundles",
        "`av1part pipeline build`",
        "`av1part pipeline eval` and `policy fit`, and `encode`, `bench encoder` and `run` as --pipeline",
    ),
    "av1part-search": FolderKind(
        "a record of the search",
        "manifest.json",
        "rows",
        "`av1part record`",
        "`av1part fit` and `av1part pruner fit`",
    ),
    "av1part-pruner": FolderKind(
        "a pruner",
        "manifest.json",
        "pruner.bin",
        "`av1part fit` or `av1part pruner fit`",
        "`av1part encode`, `bench encoder` and `run` as --pipeline, and `pipeline build` as --pruner",
    ),
}
"""Every kind of folder that av1part writes, by the `kind` in its file."""
MEDIA = (
    ".avi", ".avif", ".bmp", ".gif", ".heic", ".heif", ".i420", ".ivf", ".jpeg", ".jpg", ".m4v", ".mkv", ".mov",
    ".mp4", ".obu", ".png", ".ppm", ".raw", ".tif", ".tiff", ".webm", ".webp", ".y4m", ".yuv",
)  # fmt: skip
"""Endings, in lower case, by which a file is taken for a picture or clip."""


def kind_of(folder: Path) -> str | None:
    """Kind of a folder, a key of KINDS, by its manifest.json or run.json; None where neither names one."""
    for file in ("manifest.json", "run.json"):
        with suppress(ToolkitError):
            document = read_json(folder / file)
            kind = document.get("kind") if isinstance(document, dict) else None
            if isinstance(kind, str) and kind in KINDS and KINDS[kind].file == file:
                return kind
    return None


def media_in(folder: Path) -> list[Path]:
    """Pictures and clips of a folder by name: its files with an ending of MEDIA that are not hidden."""
    found = (p for p in folder.iterdir() if p.suffix.lower() in MEDIA and not p.name.startswith(".") and p.is_file())
    return sorted(found)


def check_unsealed(path: Path) -> None:
    """Raise ToolkitError where `path` lies in a sealed folder, which another file would make unreadable."""
    for folder in path.absolute().parents:
        kind = kind_of(folder)
        if kind is not None and KINDS[kind].file == "manifest.json":
            raise ToolkitError(
                f"{path}: in {KINDS[kind].name} ({folder}), which is sealed: a file more, and nothing can read it. "
                "Choose another place."
            )


def check_folder(path: Path, kind: str) -> None:
    """Raise ToolkitError where `path` is none of the folders of that `kind` (a key of KINDS).

    The message says what is there instead, and which command takes that. A folder of no known kind passes if it has
    a part of this one: then its reader says what is wrong with it.
    """
    wanted = KINDS[kind]
    if not path.exists():
        tidy(path)
    if not path.is_dir():
        what = "a file, no such folder" if path.is_file() else "no such folder"
        raise ToolkitError(f"{path}: {what}. Make {wanted.name} with {wanted.made_by}.")
    found = kind_of(path)
    if found == kind or (found is None and any((path / n).exists() for n in (wanted.file, wanted.part))):
        return
    raise ToolkitError(f"{path}: {described(path)} Expected {wanted.name}, as {wanted.made_by} makes it.")


def check_model(path: Path) -> None:
    """Raise ToolkitError where `path` is a folder, but no run; a checkpoint file is left to its reader."""
    if path.is_dir():
        check_folder(path, "av1part-run")
    elif not path.exists():
        raise ToolkitError(f"{path}: no such file or folder. Make a run with `av1part train`.")


def check_file(path: Path, expected: str) -> None:
    """Raise ToolkitError where `path` is no file; of a folder it says what that is. `expected`: as in "a clip"."""
    if path.is_dir():
        raise ToolkitError(f"{path}: {described(path)} Expected {expected}.")
    if not path.is_file():
        found = f"a pipe or device, expected {expected} as an ordinary file" if path.exists() else "no such file"
        raise ToolkitError(f"{path}: {found}.")


def described(folder: Path) -> str:
    """Sentences on what a folder is, and which commands take it."""
    kind = kind_of(folder)
    if kind is not None:
        return f"this is {KINDS[kind].name}, for {KINDS[kind].taken_by}."
    if media := media_in(folder):
        return f"a folder of {len(media)} pictures or clips, for `av1part label`, which makes a data set of them."
    return "a folder in which no manifest.json or run.json says what it is, so av1part did not write it, or not whole."


def read_sealed(
    file: Path, kind: str, version: int, what: str, mend: str, entries: Entries, *, limit: int = MAX_JSON_BYTES
) -> dict[str, Any]:
    """Read a document of at most `limit` bytes and check it.

    Raises ToolkitError as `read_json`, `check_sealed` and `check_bytes`.
    """
    document = check_sealed(read_json(file, limit), file, kind, version, what, mend, entries)
    check_bytes(file, document, mend)
    return document


def check_bytes(file: Path, document: Mapping[str, Any], mend: str) -> None:
    """Raise ToolkitError unless the file has exactly the bytes that av1part writes of this document."""
    try:
        same = read_bytes(file) == json_bytes(document)
    except RecursionError:  # nested too deep to be written
        same = False
    if not same:
        raise ToolkitError(
            f"{file} was edited: its values are right, but blanks, order or spelling are not as av1part writes them. "
            f"Copy it again, byte for byte. {mend}"
        )


def is_sha256(value: Any) -> bool:
    """Whether the value is a SHA-256 as hashes are written here: 64 lower-case hexadecimal digits."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def check_files(folder: Path, files: Mapping[str, Any], needed: Collection[str], what: str) -> None:
    """Raise ToolkitError unless the manifest's `files`, hashes by name, are the `needed` ones, and lie there unchanged.

    `what` names the folder's kind, as in "data set". A file that a link leads out of the folder for is refused, so that
    nothing else on the machine is read as a part of it.
    """
    for listed, expected, wrong in ((files, needed, "lists"), (needed, files, "does not list")):
        if odd := sorted(set(listed) - set(expected)):
            more = f" and {len(odd) - 1} others" if len(odd) > 1 else ""
            raise ToolkitError(f"{folder}: the manifest {wrong} {odd[0]!r:.300}{more}. Copy or make it again.")
    for name, digest in files.items():
        file = folder / name
        try:
            inside = file.resolve().is_relative_to(folder.resolve())
        except RuntimeError:  # a link that leads to itself
            inside = False
        if not inside:
            raise ToolkitError(f"{folder}: {name} leads out of the {what}. Copy the whole folder, links resolved.")
        if not file.is_file():
            raise ToolkitError(f"{file}: missing, though the manifest names it. Copy the whole folder.")
        if sha256_file(file) != digest:
            raise ToolkitError(
                f"{file}: changed or truncated (sha256 differs from the manifest). Copy or make it again."
            )


def check_names(folder: Path, files: Collection[str], beside: Collection[str] = ()) -> None:
    """Raise ToolkitError where a folder holds a name that is none of its own.

    `files`: paths within the folder, "/" between parts; the folders on the way belong to it. `beside`: further files
    and folders at the top, whose content is not looked at. Whether a file is there and sound, its reader checks.
    """
    allowed = {"manifest.json", *files}
    folders = {parent.as_posix() for name in allowed for parent in PurePosixPath(name).parents} - {"."}
    for root, below, names in os.walk(folder):
        place = Path(root).relative_to(folder)
        for name in sorted((*below, *names)):
            path = (place / name).as_posix()
            if path not in allowed and path not in beside and not (path in folders and name in below):
                hint = " It was left by a write that was interrupted, or is still going on." if name[0] == "." else ""
                raise ToolkitError(f"{folder}: {path!r} does not belong in the folder.{hint} Remove it.")
        below[:] = [name for name in below if (place / name).as_posix() in folders]


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
