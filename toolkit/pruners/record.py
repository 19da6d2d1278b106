"""Records of the encoder's search: a sealed folder, written once and read frame by frame."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from numpy.typing import NDArray

from toolkit.arrays import load_array
from toolkit.data.encoder_settings import EncoderRecord
from toolkit.data.splits import SPLITS
from toolkit.errors import ToolkitError
from toolkit.files import atomic_write_json, sha256_file
from toolkit.pruners.record_format import (
    FORMAT,
    MEND,
    ROW,
    ROWS,
    FrameEntry,
    RecordedSource,
    RecordManifest,
    check_features,
    check_manifest,
    check_rows,
    frame_kind,
    rows_file,
)
from toolkit.sealed import check_files, check_names
from toolkit.search.table import Feature

__all__ = [
    "ROW",
    "ROWS",
    "FrameEntry",
    "RecordedFrame",
    "RecordedSource",
    "SearchSet",
    "check_features",
    "check_rows",
    "doubts",
    "frame_kind",
    "rows_file",
    "write_search_set",
]
FEW = 10
"""Fewer sources to learn from are worth a warning."""


@dataclass(frozen=True)
class RecordedFrame:
    """One coded picture: `rows` (N,) of its kind's dtype in ROWS, its `bits`, `pixels` and CPU `seconds`.

    Of inter frames, bits and seconds are the mean of the source's at that cq. A packet may be a few bytes, and what is
    lost in it counts as much as elsewhere in the clip.
    """

    rows: NDArray[Any]
    bits: float
    pixels: int
    seconds: float


@dataclass(frozen=True)
class SearchSet:
    """A verified record, opened with `SearchSet.load`; every source is in exactly one split."""

    path: Path
    manifest: RecordManifest
    features: tuple[Feature, ...]
    entries: tuple[FrameEntry, ...]

    @classmethod
    def load(cls, path: Path | str) -> "SearchSet":
        """Open a record and check its seal, every entry of its manifest, and the hash and the rows of every frame.

        Raises ToolkitError on the first check that fails.
        """
        path = Path(path)
        manifest = FORMAT.read(path)
        features, entries = check_manifest(path, manifest)
        check_files(path, manifest["files"], {entry.file for entry in entries}, "record")
        check_names(path, manifest["files"])
        for entry in entries:
            _load_rows(path, entry, frame_kind(manifest["encoder"]))
        return cls(path, manifest, features, entries)

    @property
    def sha256(self) -> str:
        """Hash that names the record."""
        return self.manifest["sha256"]

    @property
    def frame_kind(self) -> str:
        """Kind of the recorded frames, of FRAME_KINDS; a record that does not say holds key frames."""
        return frame_kind(self.manifest["encoder"])

    def frames(self, split: str) -> Iterator[RecordedFrame]:
        """Recorded frames of a split, one at a time; ToolkitError for an unknown split or one without frames."""
        for entry in self.entries_of(split):
            rows = _load_rows(self.path, entry, self.frame_kind)
            like = [entry]
            if self.frame_kind == "inter":
                like = [e for e in self.entries if (e.source, e.cq) == (entry.source, entry.cq)]
            yield RecordedFrame(rows, fmean(e.bits for e in like), entry.pixels, fmean(e.seconds for e in like))

    def entries_of(self, split: str) -> list[FrameEntry]:
        """Entries of the frames of a split; ToolkitError for an unknown split or one without frames."""
        if split not in SPLITS:
            raise ToolkitError(f"Split {split!r}: expected one of {', '.join(SPLITS)}.")
        chosen = [e for e in self.entries if self.manifest["sources"][e.source]["split"] == split]
        if not chosen:
            raise ToolkitError(f"{self.path}: no source is in the {split} split. Record more sources.")
        return chosen

    @property
    def splits(self) -> list[str]:
        """Split of every source."""
        return [source["split"] for source in self.manifest["sources"]]


def _load_rows(folder: Path, entry: FrameEntry, kind: str) -> NDArray[Any]:
    """Rows of a frame (N,) of dtype ROWS[kind]; ToolkitError where not sound, or more than the frame can have."""
    file = folder / entry.file
    rows = load_array(file, MEND)
    check_rows(rows, str(file), kind)
    if len(rows) > entry.pixels:
        raise ToolkitError(f"{file}: {len(rows)} squares of a frame of {entry.pixels} pixels. {MEND}")
    return rows


def doubts(splits: Sequence[str]) -> list[str]:
    """Sentences that say what a record is too small for, by the split of each of its sources; none where it will do.

    A pruner is learnt from the train split, judged on val and proven on test.
    """
    found = []
    if empty := [split for split in SPLITS if split not in splits]:
        found.append(
            f"no source is in the {' and the '.join(empty)} split, and `fit` needs one in each: record 3 sources or "
            "more, or merge this record with others (`data merge`)."
        )
    learnt = splits.count("train")
    if 0 < learnt < FEW:
        found.append(
            f"only {learnt} source{'s are' if learnt > 1 else ' is'} in the train split. A pruner that has seen few "
            "pictures loses more bytes for the time that it saves."
        )
    return found


def write_search_set(
    folder: Path,
    bit_depth: int,
    encoder: EncoderRecord,
    features: Sequence[Feature],
    sources: Sequence[RecordedSource],
    entries: Sequence[FrameEntry],
) -> None:
    """Seal a folder whose rows lie there already; ToolkitError on anything that `SearchSet.load` would refuse."""
    manifest = {
        "bit_depth": bit_depth,
        "encoder": encoder,
        "features": [asdict(feature) for feature in features],
        "sources": list(sources),
        "frames": [asdict(entry) for entry in entries],
        "files": {entry.file: sha256_file(folder / entry.file) for entry in entries},
    }
    sealed = FORMAT.seal(manifest, folder)
    check_manifest(folder, sealed)
    for entry in entries:
        _load_rows(folder, entry, frame_kind(encoder))
    atomic_write_json(folder / "manifest.json", sealed)
