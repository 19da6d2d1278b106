"""What is known of the files to be labelled: hash, licence, and the split each belongs to."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.blocks import SPLITS
from toolkit.errors import ToolkitError
from toolkit.files import sha256_file


@dataclass(frozen=True)
class SourceFile:
    """A photograph or clip to be labelled; `name` is the file's name without its suffix."""

    path: Path
    name: str
    sha256: str
    split: str = ""
    licence: str = "unknown"
    origin: str = "unknown"


def identify(paths: Sequence[Path]) -> list[SourceFile]:
    """Hash the files; ToolkitError for none, one missing, equal names or equal contents."""
    if not paths:
        raise ToolkitError("No source given.")
    files: list[SourceFile] = []
    for path in paths:
        if not path.is_file():
            raise ToolkitError(f"{path}: no such file.")
        new = SourceFile(path, path.stem.lstrip("."), sha256_file(path))
        for old in files:
            if old.sha256 == new.sha256:
                raise ToolkitError(f"{path} and {old.path} have the same content: it would leak between splits.")
            if old.name == new.name:
                raise ToolkitError(f"{path} and {old.path} share the name {new.name}. Rename one.")
        files.append(new)
    return files


def with_splits(files: Sequence[SourceFile], how: str) -> list[SourceFile]:
    """Assign each source to a split.

    `auto`: in the order of their hashes, about 70/15/15, each split with at least one source where there are
    three; `train`, `val` or `test`: all to that; else a file with lines of source, tab, split.
    """
    if how in SPLITS:
        return [replace(file, split=how) for file in files]
    if how != "auto":
        listed = _read_splits(Path(how))
        missing = [f.name for f in files if f.name not in listed]
        if missing:
            raise ToolkitError(f"{how}: no split for {', '.join(missing)}. Add lines of source, tab, split.")
        return [replace(file, split=listed[file.name]) for file in files]
    held_out = max(1, round(0.15 * len(files)))
    order = sorted(files, key=lambda file: file.sha256)
    # From the end: test, then val, so that one source is train and two are train and val.
    tests = held_out if len(order) >= 3 else 0
    vals = held_out if len(order) >= 2 else 0
    split = {f.name: "train" for f in order}
    split |= {f.name: "val" for f in order[len(order) - tests - vals :]}
    split |= {f.name: "test" for f in order[len(order) - tests :]}
    return [replace(file, split=split[file.name]) for file in files]


def _read_splits(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise ToolkitError(f"--split {path}: expected auto, {', '.join(SPLITS)}, or a file of source, tab, split.")
    splits: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        source, _, split = line.partition("\t")
        name = Path(source).stem
        if split.strip() not in SPLITS:
            raise ToolkitError(f"{path}, line {number}: {line!r}, expected source, tab, one of {', '.join(SPLITS)}.")
        if splits.setdefault(name, split.strip()) != split.strip():
            raise ToolkitError(f"{path}, line {number}: {name} is in two splits; neighbouring blocks would leak.")
    return splits


def with_licences(files: Sequence[SourceFile], table: Path) -> list[SourceFile]:
    """Licence and origin from a TSV with columns sha256, licence and source; ToolkitError where a file is not in it."""
    try:
        with table.open(encoding="utf-8", newline="") as text:
            rows = {row["sha256"]: row for row in csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE)}
        result = []
        for file in files:
            if file.sha256 not in rows:
                raise ToolkitError(f"{table}: has no line with the sha256 of {file.path} ({file.sha256}).")
            row = rows[file.sha256]
            result.append(replace(file, licence=row["licence"], origin=row["source"]))
        return result
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise ToolkitError(f"{table}: expected a TSV with columns sha256, licence and source ({error!r}).") from None
