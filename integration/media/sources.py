"""Files to be coded: their hash, licence, origin and split."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.data.sources import check_source_name
from toolkit.data.splits import assign_splits
from toolkit.errors import ToolkitError
from toolkit.files import read_text, sha256_file
from toolkit.folders import check_file, kind_of, media_in


@dataclass(frozen=True)
class SourceFile:
    """A photograph or clip to be coded; `name` is the file's name without its suffix."""

    path: Path
    name: str
    sha256: str
    split: str = ""
    licence: str = "unknown"
    origin: str = "unknown"


def identify(paths: Sequence[Path]) -> list[SourceFile]:
    """Hash the files, and the pictures and clips in the folders among them.

    Raises ToolkitError where none is given, one is missing, a folder holds none, a name cannot be a source's, or two
    have the same name or content.
    """
    if not paths:
        raise ToolkitError("No source given.")
    files: list[SourceFile] = []
    for path in expand(paths):
        new = SourceFile(path, path.stem.lstrip("."), sha256_file(path))
        check_source_name(new.name)  # before hours of coding, not after them
        for old in files:
            if old.sha256 == new.sha256:
                raise ToolkitError(f"{path} and {old.path} have the same content: it would leak between splits.")
            if old.name == new.name:
                raise ToolkitError(f"{path} and {old.path} share the name {new.name}. Rename one.")
        files.append(new)
    return files


def expand(paths: Sequence[Path]) -> list[Path]:
    """The files among the paths, and the pictures and clips in the folders; ToolkitError where there is none."""
    files: list[Path] = []
    for path in paths:
        inside = media_in(path) if path.is_dir() and kind_of(path) is None else []
        if not inside:
            check_file(path, "pictures, clips, or a folder of them")
        files += inside or [path]
    return files


def with_splits(files: Sequence[SourceFile], how: str) -> list[SourceFile]:
    """Copies of the files with their splits; `how` is as for `toolkit.data.splits.assign_splits`."""
    splits = assign_splits([file.name for file in files], how)
    return [replace(file, split=splits[file.name]) for file in files]


def with_licences(files: Sequence[SourceFile], table: Path) -> list[SourceFile]:
    """Copies of the files with licence and origin from a TSV with columns sha256, licence and source.

    Raises ToolkitError where the table is not readable, or a file is not in it.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_text(table), ""), delimiter="\t", quoting=csv.QUOTE_NONE)
        absent = {"sha256", "licence", "source"} - set(reader.fieldnames or ())
        rows = {row.get("sha256"): row for row in reader}
    except (OSError, UnicodeDecodeError) as error:
        raise ToolkitError(f"{table}: not readable as a table of sources ({error}).") from None
    if absent:
        raise ToolkitError(f"{table}: has no column {', '.join(sorted(absent))}; expected a TSV with a line of names.")
    result = []
    for file in files:
        row = rows.get(file.sha256)
        if row is None:
            raise ToolkitError(f"{table}: has no line with the sha256 of {file.path} ({file.sha256}).")
        result.append(replace(file, licence=row["licence"] or "unknown", origin=row["source"] or "unknown"))
    return result
