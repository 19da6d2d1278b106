"""Write a BlockSet: checked, hashed, sealed, and put in place whole or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from toolkit.data.encoder_settings import EncoderRecord
from toolkit.data.format import (
    BLOCK_DTYPE,
    COSTS,
    FORMAT,
    Luma,
    SourceEntry,
    check_blocks,
    check_costs,
    check_luma,
    check_manifest,
    files_of,
    histogram,
)
from toolkit.data.sources import check_source_name
from toolkit.errors import ToolkitError
from toolkit.files import atomic_folder, atomic_write_json, sha256_file
from toolkit.partition import NODE
from toolkit.sealed import check_files


@dataclass(frozen=True)
class Source:
    """A clip or photograph that blocks come from, in exactly one split.

    `sha256` is the hash of the original file (or of the imported data); `luma` is (frames, height, width).
    """

    name: str
    split: str
    sha256: str
    luma: Luma
    licence: str = "unknown"
    origin: str = "unknown"


def _entry(source: Source, bit_depth: int) -> SourceEntry:
    """Entry of the manifest for a source, whose name and luma are checked first."""
    check_source_name(source.name)
    check_luma(source.luma, bit_depth, source.name)
    if source.luma.ndim != 3:
        raise ToolkitError(f"{source.name}: luma has shape {source.luma.shape}, expected (frames, height, width).")
    frames, height, width = source.luma.shape
    return {
        "name": source.name,
        "split": source.split,
        "sha256": source.sha256,
        "licence": source.licence,
        "origin": source.origin,
        "frames": frames,
        "height": height,
        "width": width,
        "luma": f"luma/{source.name}.npy",
    }


def make_records(
    source: ArrayLike, frame: ArrayLike, row: ArrayLike, column: ArrayLike, qindex: ArrayLike, partition: ArrayLike
) -> NDArray[Any]:
    """Records of BLOCK_DTYPE (N,), from whole numbers (N,), or one number for all; row and column in pixels.

    Raises ToolkitError where a number is not whole or does not fit (qindex: 0 to 255), since it would wrap around.
    """
    given = {"source": source, "frame": frame, "row": row, "column": column, "qindex": qindex, "partition": partition}
    arrays = {name: np.asarray(values) for name, values in given.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "iu":
            raise ToolkitError(f"Blocks: {name} is {array.dtype}, expected whole numbers.")
        top = int(np.iinfo(BLOCK_DTYPE[name]).max)
        if array.size and (int(array.min()) < 0 or int(array.max()) > top):
            raise ToolkitError(f"Blocks: {name} runs from {array.min()} to {array.max()}, expected 0 to {top}.")
    records = np.empty(np.broadcast_shapes(*(a.shape for a in arrays.values())), BLOCK_DTYPE)
    for name, array in arrays.items():
        records[name] = array
    return np.atleast_1d(records)


def write_blockset(
    path: Path,
    sources: Sequence[Source],
    blocks: NDArray[Any],
    bit_depth: int,
    encoder: EncoderRecord,
    *,
    block_size: int = NODE,
    costs: NDArray[Any] | None = None,
    excluded: dict[str, int] | None = None,
    overwrite: bool = False,
) -> None:
    """Write and seal a BlockSet folder.

    `blocks`: records of BLOCK_DTYPE, whose `source` is a position in `sources`. `encoder`: every encoder setting, or
    how the data were imported. `block_size`: side of the nodes in pixels. `costs`: a record of COST_DTYPE a block.
    `excluded`: number of nodes left out, by reason (such as
    nodes cut by the frame's edge). Raises ToolkitError on anything that `BlockSet.load` would refuse, and where `path`
    exists and may not be overwritten.
    """
    entries = [_entry(source, bit_depth) for source in sources]
    check_blocks(blocks, entries, block_size, str(path))
    if costs is not None:
        check_costs(costs, len(blocks), str(path))
    with atomic_folder(path, overwrite=overwrite) as folder:
        (folder / "luma").mkdir()
        for entry, source in zip(entries, sources, strict=True):
            np.save(folder / entry["luma"], np.ascontiguousarray(source.luma), allow_pickle=False)
        np.save(folder / "blocks.npy", np.ascontiguousarray(blocks), allow_pickle=False)
        names = ["blocks.npy", *(e["luma"] for e in entries)]
        if costs is not None:
            np.save(folder / COSTS, np.ascontiguousarray(costs), allow_pickle=False)
            names.append(COSTS)
        manifest = {
            "bit_depth": bit_depth,
            "block_size": block_size,
            "encoder": encoder,
            "sources": entries,
            "histogram": histogram(blocks, entries),
            "excluded": excluded or {},
            "files": {name: sha256_file(folder / name) for name in names},
        }
        sealed = check_manifest(path, FORMAT.seal(manifest, path))
        check_files(folder, sealed["files"], files_of(sealed), "data set")
        atomic_write_json(folder / "manifest.json", sealed)
