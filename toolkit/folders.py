"""Kinds of folder: how each is told, and what is said where another one was expected."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import ToolkitError
from toolkit.files import read_json, tidy


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder: what its file says it is, its name, that file, a part that no other kind has, its commands."""

    kind: str
    name: str
    file: str
    part: str
    made_by: str
    taken_by: str


BLOCKSET = FolderKind(
    "av1part-blockset",
    "a data set",
    "manifest.json",
    "blocks.npy",
    "`av1part label` or `av1part data import`",
    "`av1part train`, `fit` and `av1part data info`, and `parity` and `evaluate` as DATA",
)
BLOCKSETS = FolderKind(
    "av1part-blocksets",
    "a folder of data sets of several node sizes",
    "manifest.json",
    "node16",
    "`av1part label --node 16,32`",
    "every command that takes a data set; name the one inside that you mean, as in node16 or node32",
)
RUN = FolderKind(
    "av1part-run",
    "a run",
    "run.json",
    "checkpoints",
    "`av1part train`",
    "`av1part select`, `evaluate`, `compare`, and `av1part export`, which makes a bundle of it",
)
BUNDLE = FolderKind(
    "av1part-bundle",
    "a bundle",
    "manifest.json",
    "model.onnx",
    "`av1part export`",
    "`av1part parity`, `quantize`, `bundle info`, and `av1part pipeline build`, which makes a pipeline of it",
)
PIPELINE = FolderKind(
    "av1part-pipeline",
    "a pipeline",
    "manifest.json",
    "bundles",
    "`av1part pipeline build`",
    "`av1part pipeline eval` and `policy fit`, and `encode`, `bench encoder` and `run` as --pipeline",
)
SEARCH = FolderKind(
    "av1part-search",
    "a record of the search",
    "manifest.json",
    "rows",
    "`av1part record`",
    "`av1part fit` and `av1part pruner fit`",
)
PRUNER = FolderKind(
    "av1part-pruner",
    "a pruner",
    "manifest.json",
    "pruner.bin",
    "`av1part fit` or `av1part pruner fit`",
    "`av1part encode`, `bench encoder` and `run` as --pipeline, and `pipeline build` as --pruner",
)
KINDS = {folder.kind: folder for folder in (BLOCKSET, BLOCKSETS, RUN, BUNDLE, PIPELINE, SEARCH, PRUNER)}
"""Every kind of folder that av1part writes, by the `kind` in its file."""
MEDIA = (
    ".avi", ".avif", ".bmp", ".gif", ".heic", ".heif", ".i420", ".ivf", ".jpeg", ".jpg", ".m4v", ".mkv", ".mov",
    ".mp4", ".obu", ".png", ".ppm", ".raw", ".tif", ".tiff", ".webm", ".webp", ".y4m", ".yuv",
)  # fmt: skip
"""Endings, in lower case, by which a file is taken for a picture or clip."""


def kind_of(folder: Path) -> FolderKind | None:
    """Kind of a folder by its manifest.json or run.json; None where neither names one."""
    for file in ("manifest.json", "run.json"):
        with suppress(ToolkitError):
            document = read_json(folder / file)
            kind = document.get("kind") if isinstance(document, dict) else None
            if isinstance(kind, str) and kind in KINDS and KINDS[kind].file == file:
                return KINDS[kind]
    return None


def media_in(folder: Path) -> list[Path]:
    """Pictures and clips of a folder by name: its files with an ending of MEDIA that are not hidden."""
    found = (p for p in folder.iterdir() if p.suffix.lower() in MEDIA and not p.name.startswith(".") and p.is_file())
    return sorted(found)


def check_unsealed(path: Path) -> None:
    """Raise ToolkitError where `path` lies in a sealed folder, which another file would make unreadable."""
    for folder in path.absolute().parents:
        kind = kind_of(folder)
        if kind is not None and kind.file == "manifest.json":
            raise ToolkitError(
                f"{path}: in {kind.name} ({folder}), which is sealed: a file more, and nothing can read it. "
                "Choose another place."
            )


def check_folder(path: Path, wanted: FolderKind) -> None:
    """Raise ToolkitError where `path` is none of the folders of that kind.

    The message says what is there instead, and which command takes that. A folder of no known kind passes if it has
    a part of this one: then its reader says what is wrong with it.
    """
    if not path.exists():
        tidy(path)
    if not path.is_dir():
        what = "a file, no such folder" if path.is_file() else "no such folder"
        raise ToolkitError(f"{path}: {what}. Make {wanted.name} with {wanted.made_by}.")
    found = kind_of(path)
    if found == wanted or (found is None and any((path / n).exists() for n in (wanted.file, wanted.part))):
        return
    raise ToolkitError(f"{path}: {described(path)} Expected {wanted.name}, as {wanted.made_by} makes it.")


def check_model(path: Path) -> None:
    """Raise ToolkitError where `path` is a folder, but no run; a checkpoint file is left to its reader."""
    if path.is_dir():
        check_folder(path, RUN)
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
        return f"this is {kind.name}, for {kind.taken_by}."
    if media := media_in(folder):
        return f"a folder of {len(media)} pictures or clips, for `av1part label`, which makes a data set of them."
    return "a folder in which no manifest.json or run.json says what it is, so av1part did not write it, or not whole."
