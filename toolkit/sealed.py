"""Sealed JSON documents, one in each folder that is one: each is refused for the same reasons in the same words."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

from toolkit.errors import ToolkitError
from toolkit.files import (
    MAX_JSON_BYTES,
    atomic_write_json,
    is_sealed,
    json_bytes,
    read_bytes,
    read_json,
    seal,
    sha256_file,
)
from toolkit.folders import KINDS, check_folder
from toolkit.shapes import shaped

M = TypeVar("M", bound=Mapping[str, Any])
CONFIG = "config.toml"
"""Settings of the command that wrote a folder. Of one that writes a file they are beside it, as OUTPUT.config.toml."""


@dataclass(frozen=True)
class SealedFolder(Generic[M]):
    """A kind of folder whose `file` is sealed and has the type `content`, a TypedDict; all are opened and made alike.

    `whose` says whose document it is, as in "a bundle's", and `mend` is a sentence on how to make it again.
    """

    kind: str
    version: int
    content: type[M]
    whose: str
    mend: str
    file: str = "manifest.json"
    limit: int = MAX_JSON_BYTES

    def read(self, folder: Path) -> M:
        """Read the document of a folder.

        Raises ToolkitError where the folder is of another known kind, and as `read_json`, `check` and `check_bytes`.
        """
        if self.kind in KINDS:
            check_folder(folder, KINDS[self.kind])
        document = self.check(read_json(folder / self.file, self.limit), folder)
        check_bytes(folder / self.file, document, self.mend)
        return document

    def check(self, document: Any, folder: Path) -> M:
        """Return the document if its seal (`toolkit.files.seal`) is intact and it has the type of the content.

        Raises ToolkitError on another kind or format version, on a document edited after it was sealed, and as
        `shaped`.
        """
        file = folder / self.file
        if not isinstance(document, dict) or document.get("kind") != self.kind:
            found = document.get("kind") if isinstance(document, dict) else type(document).__name__
            raise ToolkitError(f"{file}: not {self.whose} (kind {found!r:.60}, expected {self.kind!r}). {self.mend}")
        found = document.get("format_version")
        if type(found) is not int or found != self.version:
            raise ToolkitError(f"{file}: format version {found!r:.60}, this av1part reads {self.version}. {self.mend}")
        if not is_sealed(document):
            raise ToolkitError(f"{file} was edited: its sha256 does not match. {self.mend}")
        return shaped(document, self.content, str(file), self.mend)

    def seal(self, body: Mapping[str, Any], folder: Path) -> M:
        """Seal what a document says beside its kind and version, and check it as a reader will."""
        return self.check(seal({"kind": self.kind, "format_version": self.version, **body}), folder)

    def write(self, body: Mapping[str, Any], folder: Path) -> M:
        """Seal a document and put it in its folder; errors as of `check`."""
        document = self.seal(body, folder)
        atomic_write_json(folder / self.file, document)
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
    and folders at the top, whose content is not looked at; the settings of the command that wrote it (CONFIG) may
    always stand there. Whether a file is there and sound, its reader checks.
    """
    allowed = {"manifest.json", CONFIG, *files}
    folders = {parent.as_posix() for name in allowed for parent in PurePosixPath(name).parents} - {"."}
    for root, below, names in os.walk(folder):
        place = Path(root).relative_to(folder)
        for name in sorted((*below, *names)):
            path = (place / name).as_posix()
            if path not in allowed and path not in beside and not (path in folders and name in below):
                hint = " It was left by a write that was interrupted, or is still going on." if name[0] == "." else ""
                raise ToolkitError(f"{folder}: {path!r} does not belong in the folder.{hint} Remove it.")
        below[:] = [name for name in below if (place / name).as_posix() in folders]
