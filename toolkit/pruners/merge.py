"""Records of the search that were made apart with the same settings become one."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from toolkit.data.joining import Joined, check_settings, join
from toolkit.data.splits import assign_splits
from toolkit.files import atomic_folder, check_free
from toolkit.pruners.record import FrameEntry, SearchSet, rows_file, write_search_set
from toolkit.pruners.record_format import RecordedSource, hashes_of


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
    check_settings(paths, [{"frame_kind": r.frame_kind} | r.manifest["encoder"] for r in records], more)
    joined = _joined(paths, records)
    splits = assign_splits([place.name for place in joined.places], split) if split else {}
    sources = list[RecordedSource]()
    for place in joined.places:
        source = records[place.folder].manifest["sources"][place.source]
        sources.append({**source, "name": place.name, "split": splits.get(place.name, source["split"])})
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
        write_search_set(folder, head.manifest["bit_depth"], head.manifest["encoder"], head.features, sources, entries)
    return joined.notes


def _joined(paths: Sequence[Path], records: Sequence[SearchSet]) -> Joined:
    def keys(number: int, source: int) -> list[str]:
        return [f"{kind} {digest}" for kind, digest in hashes_of(records[number].manifest["sources"][source]).items()]

    def differ(one: tuple[int, int], two: tuple[int, int]) -> str:
        # Rows hold CPU times, so that no two records of a source are alike; their streams are.
        return "" if _streams(records[one[0]], one[1]) == _streams(records[two[0]], two[1]) else "their streams differ"

    return join(paths, [record.manifest["sources"] for record in records], keys, differ)


def _streams(record: SearchSet, source: int) -> list[tuple[int, ...]]:
    own = (e for e in record.entries if e.source == source)
    return sorted((e.frame, e.cq, e.qindex, e.bits, e.pixels) for e in own)
