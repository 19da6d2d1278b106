"""The record of the search on disk: its constants and types, and the checks that its reader and its writer share."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict, cast

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from toolkit.data.encoder_settings import EncoderRecord, RecordedBy
from toolkit.data.sources import Origin, check_sources
from toolkit.data.splits import check_one_split
from toolkit.errors import ToolkitError
from toolkit.files import canonical_json
from toolkit.folders import SEARCH
from toolkit.partition import INSIDE_LARGER, NAMES
from toolkit.sealed import SealedFolder
from toolkit.search.table import DECISIONS, FRAME_KINDS, POINTS, SIDES, STAGES, TABLES, Feature
from toolkit.shapes import Sha256, converted, is_sha256, shaped

BIT_DEPTHS = (8, 10)
"""Bit depths that are recorded."""
ROWS = {
    kind: np.dtype(
        [
            *((name, np.int32) for name in ("row", "column", "side", "parent")),
            *((name, np.uint8) for name in ("quarter", "partition")),
            ("reached", np.uint16),
            ("limit", np.float32),
            ("bits", np.float32, 10),
            ("seconds", np.float32, len(STAGES)),
            ("features", np.float32, len(table)),
        ],
        align=True,
    )
    for kind, table in TABLES.items()
}
"""One square's search by the kind of its frame (av1part_search_row in av1part_record.h says what each entry is).

Rows of inter frames are as the C interface hands them over. Those of key frames leave out the features of inter frames.
"""
ROW = ROWS["key"]
MEND = "Record it again with `av1part record`."
MOST = 1e12
"""Greatest number of a row, far above what libaom finds: products of such numbers are still finite."""
_LEAST_SECONDS = 1e-9
"""CPU time of the quickest frame: a tick of the clock."""


@dataclass(frozen=True)
class FrameEntry:
    """What the manifest says of a coded picture or packet; `source` indexes the sources, `file` has the rows."""

    source: int
    frame: Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]
    cq: Annotated[int, Meta(ge=0, le=63)]
    qindex: Annotated[int, Meta(ge=0, le=255)]
    bits: Annotated[int, Meta(ge=1, le=1 << 48)]
    pixels: Annotated[int, Meta(ge=1, le=1 << 32)]
    seconds: float
    file: str


class Coded(TypedDict, total=False):
    """Encoder settings that the sources of one record may have different ones of, since no pruner depends on them.

    Costs are bits at the very square's multiplier and luma is in quantiser steps, so one pruner serves every chroma and
    tune. `input` says how a source was read, `recorded` which of its superblocks were kept.
    """

    chroma: str
    deltaq_mode: int
    input: dict[str, object]
    recorded: dict[str, float]
    tune: str


OWN = tuple(Coded.__annotations__)
"""Names of the settings of Coded."""


class RecordedSource(Origin):
    """A clip or photograph of a record. `luma_sha256` is of the code values of its luma, frame by frame, as coded.

    Older records do not say it. `coded`: the settings in which the sources of a merged record differ; the encoder's say
    the others.
    """

    luma_sha256: NotRequired[str]
    coded: NotRequired[Coded]


class _Inter(TypedDict):
    """Encoder settings that a record of inter frames has to say as well."""

    kf_max_dist: int
    lag_in_frames: int


class RecordManifest(TypedDict):
    """Content of manifest.json. `encoder` holds settings as `RecordedBy` and more, and `files` hashes by name.

    `features` are those of Feature, and `frames` those of FrameEntry, in JSON types.
    """

    kind: str
    format_version: int
    bit_depth: int
    encoder: EncoderRecord
    features: list[dict[str, object]]
    sources: list[RecordedSource]
    frames: list[dict[str, object]]
    files: dict[str, Sha256]
    sha256: str


def rows_file(source: str, cq: int, frame: int) -> str:
    """Name, in the record, of the file with the rows of a source's frame at a cq."""
    return f"rows/{source}-cq{cq}-{frame:05d}.npy"


FORMAT = SealedFolder(SEARCH.kind, 1, RecordManifest, "a record of the search's", MEND)


def check_manifest(path: Path, manifest: RecordManifest) -> tuple[tuple[Feature, ...], tuple[FrameEntry, ...]]:
    """Features and frames of the record at `path`.

    Raises ToolkitError unless its settings, features, sources and frames are sound.
    """
    file = path / FORMAT.file
    if manifest["bit_depth"] not in BIT_DEPTHS:
        raise ToolkitError(f"{file}: bit depth {manifest['bit_depth']}, expected one of {BIT_DEPTHS}. {MEND}")
    _check_encoder(manifest["encoder"], str(file))
    features = converted(manifest["features"], tuple[Feature, ...], f"{file}, features", MEND)
    check_features(features, str(file), frame_kind(manifest["encoder"]))
    _check_sources(manifest["sources"], manifest["encoder"], str(file))
    frames = converted(manifest["frames"], tuple[FrameEntry, ...], f"{file}, frames", MEND)
    _check_frames(frames, manifest["sources"], str(file))
    return features, frames


def _check_encoder(encoder: Mapping[str, Any], what: str) -> None:
    """Raise ToolkitError unless the settings that a pruner takes over from a record are possible ones."""
    shaped(encoder, RecordedBy, f"{what}, encoder", MEND)
    words = all(re.fullmatch("[0-9A-Za-z.+_-]{1,64}", encoder[name]) for name in ("version", "usage"))
    if not words or not 0 <= encoder["cpu_used"] <= 9 or encoder["enable_1to4_partitions"] not in (0, 1):
        raise ToolkitError(f"{what}: version, usage, cpu_used or enable_1to4_partitions is none of libaom's. {MEND}")
    if frame_kind(encoder) == "inter":
        shaped(encoder, _Inter, f"{what}, encoder", MEND)


def _check_sources(sources: Sequence[RecordedSource], encoder: EncoderRecord, what: str) -> None:
    """Raise ToolkitError unless the sources are sound, each there once with the same settings, and in one split."""
    check_sources(sources, what, MEND)
    for source in sources:
        name = source["name"]
        if not is_sha256(source.get("luma_sha256", source["sha256"])):
            raise ToolkitError(f"{what}: luma_sha256 of source {name} is no SHA-256. {MEND}")
        if {"pruner", "price"} & source.keys():  # as earlier versions did: few of its squares were searched whole
            raise ToolkitError(f"{what}: source {name} was recorded under a pruner, which none learns from. {MEND}")
    hashes = [hashes_of(source) for source in sources]
    advice = "Give it exactly one split."
    check_one_split(sources, hashes, what, advice)
    if len({(source["sha256"], coded_text(encoder, source)) for source in sources}) < len(sources):
        raise ToolkitError(f"{what}: a source is there twice. {MEND}")


def coded_as(encoder: EncoderRecord, source: RecordedSource) -> dict[str, Any]:
    """Settings of Coded that a source was coded with: its own, else those of the record's encoder."""
    own = cast(dict[str, Any], encoder) | cast(dict[str, Any], source.get("coded", {}))
    return {name: own[name] for name in OWN if name in own}


def coded_text(encoder: EncoderRecord, source: RecordedSource) -> str:
    """The same settings as a text, equal where they are."""
    return canonical_json(coded_as(encoder, source)).decode()


def hashes_of(source: RecordedSource) -> dict[str, str]:
    """Hashes that tell what a source is, by what they are of: its original file and, where it is known, its luma."""
    return {"original": source["sha256"]} | ({"luma": source["luma_sha256"]} if "luma_sha256" in source else {})


def _check_frames(frames: Sequence[FrameEntry], sources: Sequence[RecordedSource], what: str) -> None:
    """Raise ToolkitError unless each frame is one of a source, with its own rows, and each source has a frame."""
    for index, entry in enumerate(frames):
        here = f"{what}, frame {index}"
        if not 0 <= entry.source < len(sources):
            raise ToolkitError(f"{here}: source is {entry.source}, expected 0 to {len(sources) - 1}. {MEND}")
        if not _LEAST_SECONDS <= entry.seconds <= MOST:
            raise ToolkitError(f"{here}: seconds are {entry.seconds}, expected {_LEAST_SECONDS:g} or more. {MEND}")
        expected = rows_file(sources[entry.source]["name"], entry.cq, entry.frame)
        if entry.file != expected:
            raise ToolkitError(f"{here}: its rows are in {entry.file!r:.300}, not in {expected}. {MEND}")
    twice = [name for name, count in Counter(entry.file for entry in frames).items() if count > 1]
    if twice:
        raise ToolkitError(f"{what}: two frames are one source's at one cq and place ({twice[0]}). {MEND}")
    if absent := set(range(len(sources))) - {entry.source for entry in frames}:
        raise ToolkitError(f"{what}: source {sources[min(absent)]['name']} has no frame. {MEND}")


def frame_kind(encoder: Mapping[str, Any]) -> str:
    """Kind of the frames, of FRAME_KINDS, that encoder settings were recorded with; key frames where they do not say.

    Raises ToolkitError on another kind.
    """
    kind = encoder.get("frame_kind", FRAME_KINDS[0])
    if kind not in FRAME_KINDS:
        raise ToolkitError(f"encoder.frame_kind is {kind!r:.80}, expected {' or '.join(FRAME_KINDS)}. {MEND}")
    return str(kind)


def check_features(features: Sequence[Feature], what: str, kind: str = "key") -> None:
    """Raise ToolkitError unless a kind's table has this version's length, sorted by point without a name twice."""
    points = [feature.point for feature in features]
    if points != sorted(points) or not set(points) <= set(range(len(POINTS))):
        raise ToolkitError(f"{what}: features are not sorted by the point at which they are known. {MEND}")
    if len({feature.name for feature in features}) < len(features):
        raise ToolkitError(f"{what}: two features share a name. {MEND}")
    expected = len(TABLES[kind])
    if len(features) != expected:
        raise ToolkitError(
            f"{what}: a table of {len(features)} features, expected {expected}. It is another version's. {MEND}"
        )


def check_rows(rows: NDArray[Any], what: str, kind: str = "key") -> None:
    """Raise ToolkitError unless the rows are whole: of ROWS[kind], possible numbers, a parent before its quarters."""
    if rows.dtype != ROWS[kind] or rows.ndim != 1:
        raise ToolkitError(f"{what}: {rows.dtype!s:.80} of shape {rows.shape}, expected rows of a search. {MEND}")
    if not (np.abs(rows["features"]) <= MOST).all():
        raise ToolkitError(f"{what}: a feature is not a number, or beyond {MOST:g}. {MEND}")
    if not ((rows["seconds"] >= 0) & (rows["seconds"] <= MOST)).all():
        raise ToolkitError(f"{what}: seconds of a square are not a number from 0 to {MOST:g}. {MEND}")
    _check_costs(rows, what)
    if (rows["quarter"] > 3).any():
        raise ToolkitError(f"{what}: a square is quarter {rows['quarter'].max()}, expected 0 to 3. {MEND}")
    if not np.isin(rows["side"], SIDES).all() or (rows["row"] < 0).any() or (rows["column"] < 0).any():
        raise ToolkitError(f"{what}: a square has none of the sides {SIDES}, or lies outside of its frame. {MEND}")
    if (rows["reached"] >> len(DECISIONS)).any():
        raise ToolkitError(f"{what}: a square reached a decision that is none of {', '.join(DECISIONS)}. {MEND}")
    if (rows["parent"] >= np.arange(len(rows))).any() or (rows["parent"] < -1).any():
        raise ToolkitError(f"{what}: a square before the one around it. {MEND}")


def _check_costs(rows: NDArray[Any], what: str) -> None:
    """Raise ToolkitError unless costs are at least 0, NaN or infinite where cut short, and known where chosen."""
    bits, partition = rows["bits"], rows["partition"]
    if (bits < 0).any() or (np.isfinite(bits) & (bits > MOST)).any():
        raise ToolkitError(f"{what}: costs of a square are not from 0 to {MOST:g}. {MEND}")
    if not np.isin(partition, [*range(len(NAMES)), INSIDE_LARGER]).all():
        raise ToolkitError(f"{what}: a square has a partition that is none of AV1's. {MEND}")
    chosen = np.flatnonzero(partition != INSIDE_LARGER)
    if not np.isfinite(bits[chosen, partition[chosen]]).all():
        raise ToolkitError(f"{what}: the cost of a chosen partition is not known. {MEND}")
