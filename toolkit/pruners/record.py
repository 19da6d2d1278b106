"""Records of the encoder's search: a sealed folder, written once and read frame by frame."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.data.format import SPLITS
from toolkit.errors import ToolkitError
from toolkit.files import atomic_write_json, seal, sha256_file
from toolkit.pruners.features import FRAME_KINDS, POINTS, STAGES, Feature
from toolkit.sealed import Entries, check_folder, check_names, read_sealed

KIND = "av1part-search"
FORMAT_VERSION = 1
FEATURES = 52
ROW = np.dtype(
    [
        *((name, np.int32) for name in ("row", "column", "side", "parent")),
        *((name, np.uint8) for name in ("quarter", "partition")),
        ("reached", np.uint16),
        ("limit", np.float32),
        ("bits", np.float32, 10),
        ("seconds", np.float32, len(STAGES)),
        ("features", np.float32, FEATURES),
    ],
    align=True,
)
"""One square's search, as the C interface hands it over (av1part_search_row in av1part_hook.h says what each is)."""
FEW = 10
"""Fewer sources to learn from are worth a warning."""
_MEND = "Record it again with `av1part record`."
_ENTRIES: Entries = {
    "bit_depth": int,
    "encoder": dict,
    "features": list,
    "sources": list,
    "frames": list,
    "files": dict,
}


@dataclass(frozen=True)
class RecordedFrame:
    """One coded picture: `rows` (N,) of dtype ROW, its `bits`, `pixels` and CPU `seconds`, all without a pruner.

    Of inter frames, bits and seconds are the mean of the source's at that cq. A packet may be a few bytes, and what is
    lost in it counts as much as elsewhere in the clip.
    """

    rows: NDArray[Any]
    bits: float
    pixels: int
    seconds: float


@dataclass(frozen=True)
class FrameEntry:
    """What the manifest says of a coded picture or packet; `source` indexes the sources, `file` has the rows.

    `bits` and `seconds` are of the picture coded without a pruner, also where the rows were recorded under one.
    """

    source: int
    frame: int
    cq: int
    qindex: int
    bits: int
    pixels: int
    seconds: float
    file: str


@dataclass(frozen=True)
class SearchSet:
    """A verified record, opened with `SearchSet.load`; every source is in exactly one split."""

    path: Path
    manifest: dict[str, Any]
    features: tuple[Feature, ...]
    entries: tuple[FrameEntry, ...]

    @classmethod
    def load(cls, path: Path | str) -> "SearchSet":
        """Open a record and check its seal; ToolkitError where it is none, was changed, or has another table."""
        path = Path(path)
        check_folder(path, KIND)
        manifest = read_sealed(
            path / "manifest.json", KIND, FORMAT_VERSION, "a record of the search's", _MEND, _ENTRIES
        )
        try:
            features = tuple(Feature(**feature) for feature in manifest["features"])
            entries = tuple(FrameEntry(**entry) for entry in manifest["frames"])
        except TypeError as error:
            raise ToolkitError(f"{path}/manifest.json: a feature or frame is malformed ({error}). {_MEND}") from None
        check_features(features, str(path))
        frame_kind(manifest["encoder"])
        if any(entry.file not in manifest["files"] for entry in entries):
            raise ToolkitError(f"{path}/manifest.json: a frame's rows are not among its files. {_MEND}")
        for name, digest in manifest["files"].items():
            file = path / name
            if Path(name).is_absolute() or ".." in Path(name).parts or not file.is_file():
                raise ToolkitError(f"{file}: missing. Copy the whole record, or record it again.")
            if sha256_file(file) != digest:
                raise ToolkitError(f"{file}: changed (sha256 differs from the manifest). {_MEND}")
        check_names(path, manifest["files"])
        return cls(path, manifest, features, entries)

    @property
    def sha256(self) -> str:
        """Hash that names the record."""
        return str(self.manifest["sha256"])

    @property
    def frame_kind(self) -> str:
        """Kind of the recorded frames, of FRAME_KINDS; a record that does not say holds key frames."""
        return frame_kind(self.manifest["encoder"])

    def frames(self, split: str) -> Iterator[RecordedFrame]:
        """Recorded frames of a split, one at a time; ToolkitError for an unknown split or one without frames."""
        for entry in self.entries_of(split):
            rows = np.load(self.path / entry.file, allow_pickle=False)
            check_rows(rows, f"{self.path / entry.file}")
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


def frame_kind(encoder: Mapping[str, Any]) -> str:
    """Kind of the frames, of FRAME_KINDS, that encoder settings were recorded with; key frames where they do not say.

    Raises ToolkitError on another kind.
    """
    kind = str(encoder.get("frame_kind", FRAME_KINDS[0]))
    if kind not in FRAME_KINDS:
        raise ToolkitError(f"encoder.frame_kind is {kind!r}, expected {' or '.join(FRAME_KINDS)}. {_MEND}")
    return kind


def check_features(features: Sequence[Feature], what: str) -> None:
    """Raise ToolkitError unless the table has this version's length and is sorted by point."""
    points = [feature.point for feature in features]
    if len(features) != FEATURES or points != sorted(points) or not set(points) <= set(range(len(POINTS))):
        raise ToolkitError(
            f"{what}: a table of {len(features)} features, expected {FEATURES}, sorted by the point at which they are "
            f"known. It is another version's. {_MEND}"
        )


def check_rows(rows: NDArray[Any], what: str) -> None:
    """Raise ToolkitError unless the rows are whole: dtype ROW, finite features, a parent before its quarters."""
    if rows.dtype != ROW or rows.ndim != 1:
        raise ToolkitError(f"{what}: {rows.dtype} of shape {rows.shape}, expected rows of a search. {_MEND}")
    if not np.isfinite(rows["features"]).all():
        raise ToolkitError(f"{what}: a feature is not a number. {_MEND}")
    if (rows["quarter"] > 3).any():
        raise ToolkitError(f"{what}: a square is quarter {rows['quarter'].max()}, expected 0 to 3. {_MEND}")
    if (rows["parent"] >= np.arange(len(rows))).any() or (rows["parent"] < -1).any():
        raise ToolkitError(f"{what}: a square before the one around it. {_MEND}")


def write_search_set(
    folder: Path,
    bit_depth: int,
    encoder: dict[str, Any],
    features: Sequence[Feature],
    sources: Sequence[dict[str, Any]],
    entries: Sequence[FrameEntry],
) -> None:
    """Seal a folder whose rows lie there already; ToolkitError where a file's rows are not sound."""
    check_features(features, str(folder))
    for entry in entries:
        check_rows(np.load(folder / entry.file, allow_pickle=False), entry.file)
    manifest = {
        "kind": KIND,
        "format_version": FORMAT_VERSION,
        "bit_depth": bit_depth,
        "encoder": encoder,
        "features": [asdict(feature) for feature in features],
        "sources": list(sources),
        "frames": [asdict(entry) for entry in entries],
        "files": {entry.file: sha256_file(folder / entry.file) for entry in entries},
    }
    atomic_write_json(folder / "manifest.json", seal(manifest))
