"""Records of the search made by hand, of rows drawn by seed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from support.libaom import IN_USE
from toolkit.partition import HORZ, NONE
from toolkit.pruners.record import ROWS, FrameEntry, RecordedSource, rows_file, write_search_set
from toolkit.search.table import TABLES, Feature

TABLE = tuple(Feature(f"f{i}", "", min(i // 10, 4)) for i in range(len(TABLES["key"])))
ENCODER = {"version": IN_USE, "usage": "good", "cpu_used": 2, "enable_1to4_partitions": 1}


def some_rows(count: int, seed: int, kind: str = "key") -> np.ndarray:
    """Rows of 16x16 squares at which every decision could be taken; their features tell what each loses and saves."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(count, ROWS[kind])
    rows["features"] = rng.normal(size=(count, len(TABLES[kind]))).astype(np.float32)
    rows["features"][:, 0] = rng.integers(0, 256, count)
    rows["side"], rows["parent"], rows["reached"], rows["partition"] = 16, -1, 1023, HORZ
    rows["bits"] = np.nan
    rows["bits"][:, HORZ] = 100
    rows["bits"][:, NONE] = 100 + 50 * np.exp(rows["features"][:, 11])
    rows["seconds"][:, [0, 1, 2, 3, 7]] = np.exp(rows["features"][:, [1, 2, 3, 4, 5]])
    return rows


def a_source(name: str, split: str, number: int) -> RecordedSource:
    """A source whose number decides its hashes."""
    digests = {"sha256": f"{number:064x}", "luma_sha256": f"{number + 1000:064x}"}
    return {"name": name, "split": split, "licence": "CC0-1.0", "origin": "synthetic", **digests}  # type: ignore[typeddict-item]


def write_record(
    folder: Path,
    sources: Sequence[RecordedSource],
    rows: Sequence[np.ndarray],
    *,
    table: Sequence[Feature] = TABLE,
    encoder: dict[str, object] | None = None,
) -> Path:
    """A sealed record in which each source has one frame, with these rows."""
    (folder / "rows").mkdir(parents=True)
    entries = []
    for number, (source, own) in enumerate(zip(sources, rows, strict=True)):
        entries.append(FrameEntry(number, 0, 32, 128, 1000, 4096, 0.5, rows_file(source["name"], 32, 0)))
        np.save(folder / entries[-1].file, own)
    write_search_set(folder, 8, ENCODER | (encoder or {}), table, sources, entries)
    return folder
