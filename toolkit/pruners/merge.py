"""Records of the search that were made apart become one.

Their settings are the same, but for chroma, tune, size and the share that was kept: in these each source has its own.
"""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

from toolkit.data.encoder_settings import EncoderRecord
from toolkit.data.joining import Joined, check_settings, join
from toolkit.data.splits import assign_splits
from toolkit.files import atomic_folder, check_free
from toolkit.pruners.record import FrameEntry, SearchSet, rows_file, write_search_set
from toolkit.pruners.record_format import OWN, Coded, RecordedSource, coded_as, coded_text, hashes_of


def merge_records(
    paths: Sequence[Path], output: Path, *, split: str | None = None, overwrite: bool = False
) -> list[str]:
    """Write one record with the sources of several; returns sentences on sources that were dropped or renamed.

    Each source keeps its split, or gets one as `split` says (`assign_splits`). Rows are copied file by file. Raises
    ToolkitError, and leaves nothing written, where settings differ, or where one source is in two of the records with
    another split or other streams.
    """
    check_free(output, overwrite)
    records = [SearchSet.load(path) for path in paths]
    more = [{"bit depth": r.manifest["bit_depth"], "feature table": [asdict(f) for f in r.features]} for r in records]
    alike = [_alike(record) for record in records]
    check_settings(paths, [{"frame_kind": r.frame_kind} | own for r, own in zip(records, alike, strict=True)], more)
    joined = _joined(paths, records)
    originals = [records[place.folder].manifest["sources"][place.source] for place in joined.places]
    first: dict[str, str] = {}  # a source that was recorded with several settings is in one split, its first name's
    for place, source in zip(joined.places, originals, strict=True):
        first.setdefault(source["sha256"], place.name)
    splits = assign_splits(list(first.values()), split) if split else {}
    sources = list[RecordedSource]()
    for place, source in zip(joined.places, originals, strict=True):
        own = splits.get(first[source["sha256"]], source["split"])
        sources.append({**source, "name": place.name, "split": own})
    encoders = [records[place.folder].manifest["encoder"] for place in joined.places]
    shared = _settle(sources, list(map(coded_as, encoders, originals)))
    with atomic_folder(output, overwrite=overwrite) as folder:
        (folder / "rows").mkdir()
        entries = list[FrameEntry]()
        for number, record in enumerate(records):
            numbers = joined.numbers(number)
            for entry in (e for e in record.entries if e.source in numbers):
                number_there = numbers[entry.source]
                name = rows_file(joined.places[number_there].name, entry.cq, entry.frame)
                shutil.copyfile(record.path / entry.file, folder / name)
                entries.append(replace(entry, source=number_there, file=name))
        head = records[0]
        encoder = cast(EncoderRecord, alike[0] | shared)
        write_search_set(folder, head.manifest["bit_depth"], encoder, head.features, sources, entries)
    return joined.notes


def _alike(record: SearchSet) -> dict[str, Any]:
    """Encoder settings of a record that have to be those of every other one; of `input` all but the size."""
    encoder = record.manifest["encoder"]
    read = {name: value for name, value in encoder.get("input", {}).items() if name != "size"}
    return {name: value for name, value in encoder.items() if name not in OWN} | ({"input": read} if read else {})


def _settle(sources: list[RecordedSource], coded: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Give each source those settings in which they differ; returns those in which all are alike."""
    differing = [name for name in OWN if any(own.get(name) != coded[0].get(name) for own in coded)]
    for source, own in zip(sources, coded, strict=True):
        source.pop("coded", None)
        if differing:
            source["coded"] = cast(Coded, {name: own[name] for name in differing if name in own})
    return {name: value for name, value in coded[0].items() if name not in differing}


def _joined(paths: Sequence[Path], records: Sequence[SearchSet]) -> Joined:
    def keys(number: int, source: int) -> list[str]:
        manifest = records[number].manifest
        own = manifest["sources"][source]
        coded = coded_text(manifest["encoder"], own)
        return [f"{kind} {digest} {coded}" for kind, digest in hashes_of(own).items()]

    def differ(one: tuple[int, int], two: tuple[int, int]) -> str:
        # Rows hold CPU times, so that no two records of a source are alike; their streams are.
        return "" if _streams(records[one[0]], one[1]) == _streams(records[two[0]], two[1]) else "their streams differ"

    return join(paths, [record.manifest["sources"] for record in records], keys, differ)


def _streams(record: SearchSet, source: int) -> list[tuple[int, ...]]:
    own = (e for e in record.entries if e.source == source)
    return sorted((e.frame, e.cq, e.qindex, e.bits, e.pixels) for e in own)
