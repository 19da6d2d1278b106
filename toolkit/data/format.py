"""The BlockSet on disk: its constants and types, and the checks that its readers and its writer share."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from toolkit.data.encoder_settings import EncoderRecord
from toolkit.data.sources import Origin, check_sources
from toolkit.data.splits import check_one_split
from toolkit.errors import ToolkitError
from toolkit.folders import BLOCKSET
from toolkit.partition import INSIDE_LARGER, NODES, partitions_of
from toolkit.sealed import SealedFolder
from toolkit.shapes import Count, Sha256
from toolkit.windows import ALONE, Window

BLOCK_DTYPE = np.dtype(
    [("source", "<u2"), ("frame", "<u4"), ("row", "<u2"), ("column", "<u2"), ("qindex", "u1"), ("partition", "u1")]
)
COST_DTYPE = np.dtype([("rd", "<f4", 10), ("bound", "<u2"), ("seconds", "<f4", 10)])
"""Cost of coding a node by each AV1 partition id, as far as the encoder searched.

`rd`: RD cost in libaom's units, with the bits that signal the partition; NaN where it was not tried. `bound`: bit k is
set where the search of partition k was cut short, so that rd[k] is only a lower bound. `seconds`: CPU time of the
search.
"""
COSTS = "costs.npy"
FORMER_FEATURES = "search.npy"
"""File that sets of av1part 0.1.0 may have: features of the search for networks, which nothing reads any more."""
BESIDE = ("LICENSE.md", "README.md", "splits.tsv", "__init__.py", "attribution.py", "__pycache__")
"""Names that may stand beside a data set's own files; the last three because the embedded one is a Python package."""
Luma = NDArray[np.uint8] | NDArray[np.uint16]


class SourceEntry(Origin):
    """A clip or photograph in the manifest; `luma` is its file in the data set."""

    frames: int
    height: int
    width: int
    luma: str


Counts = dict[str, dict[str, dict[str, Count]]]
"""Number of blocks by split, then qindex, then AV1 partition id or class; all keys are strings."""


class Manifest(TypedDict):
    """Content of manifest.json. `encoder` holds its settings, or how the data were imported."""

    kind: str
    format_version: int
    bit_depth: int
    block_size: int
    encoder: EncoderRecord
    sources: list[SourceEntry]
    histogram: Counts
    excluded: dict[str, Count]
    files: dict[str, Sha256]
    sha256: str


MEND = "Label or import the data again (`av1part label`, `av1part data import`)."
FORMAT = SealedFolder(BLOCKSET.kind, 1, Manifest, "a data set's", MEND)


def luma_dtype(bit_depth: int) -> np.dtype[Any]:
    """Dtype of luma: uint8 for 8 bit, uint16 for 9 to 16 bit. Raises ToolkitError on another bit depth."""
    if isinstance(bit_depth, bool) or not isinstance(bit_depth, int) or not 8 <= bit_depth <= 16:
        raise ToolkitError(f"Bit depth {bit_depth!r:.80}: expected a whole number from 8 to 16.")
    return np.dtype(np.uint8 if bit_depth == 8 else np.uint16)


def check_luma(luma: NDArray[Any], bit_depth: int, what: str) -> None:
    """Raise ToolkitError unless `luma` holds raw code values of that bit depth; floats may have been scaled."""
    expected = luma_dtype(bit_depth)
    if luma.dtype != expected:
        scaled = " It looks scaled already; the model scales once, itself." if luma.dtype.kind == "f" else ""
        raise ToolkitError(f"{what}: luma is {luma.dtype}, expected raw code values as {expected}.{scaled}")
    if luma.size and int(luma.max()) >= 1 << bit_depth:
        raise ToolkitError(
            f"{what}: luma reaches {int(luma.max())}, but {bit_depth} bit end at {(1 << bit_depth) - 1}."
        )


def check_input(luma: NDArray[Any], qindex: NDArray[Any], bit_depth: int, window: Window = ALONE) -> None:
    """Raise ToolkitError unless a model of that window accepts this input.

    Expected: luma (N, 1, S, S) of raw code values, S the window's size, and qindex (N,) uint8.
    """
    check_luma(luma, bit_depth, "Model input")
    if luma.ndim != 4 or luma.shape[1:] != window.shape:
        raise ToolkitError(
            f"Model input: luma has shape {luma.shape}, expected (N, 1, {window.size}, {window.size}) for a {window}."
        )
    if qindex.dtype != np.uint8 or qindex.shape != (len(luma),):
        raise ToolkitError(f"Model input: qindex is {qindex.dtype}{qindex.shape}, expected uint8({len(luma)},).")


def check_manifest(path: Path, manifest: Manifest) -> Manifest:
    """Return the manifest of the data set at `path`; ToolkitError unless its values are possible, its sources sound."""
    file = path / "manifest.json"
    if manifest["block_size"] not in NODES:
        raise ToolkitError(
            f"{path}: block size {manifest['block_size']}, expected one of {', '.join(map(str, NODES))}."
        )
    luma_dtype(manifest["bit_depth"])
    counts = manifest["histogram"]
    if not all(re.fullmatch("[0-9]{1,3}", qindex) for by_qindex in counts.values() for qindex in by_qindex):
        raise ToolkitError(f"{file}: histogram or excluded hold something else than numbers of blocks. {MEND}")
    check_sources(manifest["sources"], str(file), MEND)
    for source in manifest["sources"]:
        if source["luma"] != f"luma/{source['name']}.npy":
            raise ToolkitError(f"{file}: luma of {source['name']} is {source['luma']}, not luma/{source['name']}.npy.")
        if min(source["frames"], source["height"], source["width"]) < 1:
            raise ToolkitError(f"{path}: source {source['name']} has no pixels.")
    hashes = [
        {"original": source["sha256"], "pixels": str(manifest["files"].get(source["luma"], source["luma"]))}
        for source in manifest["sources"]
    ]
    check_one_split(manifest["sources"], hashes, str(path), "Give it exactly one split.")
    return manifest


def files_of(manifest: Manifest) -> set[str]:
    """Names of the files that a data set with this manifest has beside it."""
    needed = {"blocks.npy", *(source["luma"] for source in manifest["sources"])}
    return needed | ({COSTS, FORMER_FEATURES} & set(manifest["files"]))


def check_blocks(blocks: NDArray[Any], sources: list[SourceEntry], node: int, what: str) -> None:
    """Raise ToolkitError unless these are records of BLOCK_DTYPE: whole nodes of known ids, each labelled once."""
    if blocks.dtype != BLOCK_DTYPE or blocks.ndim != 1:
        raise ToolkitError(f"{what}: blocks are {blocks.dtype}{blocks.shape}, expected 1-D records of {BLOCK_DTYPE}.")
    if not blocks.size:
        raise ToolkitError(f"{what}: holds no block. Frames need at least one whole {node}x{node} node.")
    known = partitions_of(node)
    unknown = np.setdiff1d(blocks["partition"], [*known, INSIDE_LARGER])
    if unknown.size:
        raise ToolkitError(
            f"{what}: unknown partition ids {unknown.tolist()}; {node}x{node} nodes have 0 to {known[-1]}, "
            "and 255 inside larger."
        )
    last = int(blocks["source"].max())
    if last >= len(sources):
        raise ToolkitError(f"{what}: a block names source {last}, there are {len(sources)}.")
    shapes = np.array([(s["frames"], s["height"], s["width"]) for s in sources], np.int64)
    nodes = shapes[:, 0] * (shapes[:, 1] // node) * (shapes[:, 2] // node)
    first = np.concatenate([[0], np.cumsum(nodes)[:-1]])
    keys = np.empty(len(blocks), np.int64)  # a number for each node and qindex; nodes are counted through all sources
    off_grid = 0
    for part in parts(len(blocks)):
        source, frame, row, column = (blocks[k][part].astype(np.int64) for k in ("source", "frame", "row", "column"))
        frames, height, width = shapes[source].T
        outside = (frame >= frames) | (row + node > height) | (column + node > width)
        off_grid += int((outside | (row % node != 0) | (column % node != 0)).sum())
        number = first[source] + (frame * (height // node) + row // node) * (width // node) + column // node
        keys[part] = number * 256 + blocks["qindex"][part]
    if off_grid:
        raise ToolkitError(f"{what}: {off_grid} blocks lie off the {node}x{node} grid or outside their frame.")
    keys.sort()
    repeated = int((keys[1:] == keys[:-1]).sum())
    if repeated:
        raise ToolkitError(f"{what}: {repeated} blocks have two labels at one qindex. Label each (source, cq) once.")


def histogram(blocks: NDArray[Any], sources: Sequence[SourceEntry]) -> Counts:
    """Count blocks by split, qindex and partition id."""
    split = [s["split"] for s in sources]
    result: Counts = {}
    counts: Counter[int] = Counter()
    for part in parts(len(blocks)):
        some = blocks[part]
        keys = (some["source"].astype(np.int64) * 256 + some["qindex"]) * 256 + some["partition"]
        counts.update(dict(zip(*(a.tolist() for a in np.unique(keys, return_counts=True)), strict=True)))
    for key, count in sorted(counts.items()):
        at = result.setdefault(split[key >> 16], {}).setdefault(str(key >> 8 & 255), {})
        at[str(key & 255)] = at.get(str(key & 255), 0) + count
    return result


def parts(count: int, size: int = 1 << 18) -> Iterator[slice]:
    """Slices of at most `size` records each: values derived from all at once would take many times their memory."""
    return (slice(start, start + size) for start in range(0, count, size))


def check_costs(costs: NDArray[Any], count: int, what: str) -> None:
    """Raise ToolkitError unless these are `count` records of COST_DTYPE with possible values."""
    if costs.dtype != COST_DTYPE or costs.shape != (count,):
        raise ToolkitError(f"{what}: costs are {costs.dtype}{costs.shape}, expected {COST_DTYPE}({count},).")
    for part in parts(count):
        rd, seconds = costs["rd"][part], costs["seconds"][part]
        tried = ~np.isnan(rd)
        if not (np.isfinite(rd[tried]).all() and (rd[tried] > 0).all()):
            raise ToolkitError(f"{what}: RD costs from {np.nanmin(rd)} to {np.nanmax(rd)}, expected numbers above 0.")
        if not (np.isfinite(seconds).all() and (seconds >= 0).all()):
            raise ToolkitError(f"{what}: seconds run from {seconds.min()} to {seconds.max()}, expected at least 0.")
        if (bounded(costs[part]) & ~tried).any() or (costs["bound"][part] >> rd.shape[1]).any():
            raise ToolkitError(f"{what}: a partition not tried is called a lower bound. Label the sources again.")


def bounded(costs: NDArray[Any]) -> NDArray[np.bool_]:
    """Mask (..., 10) of the partitions whose `rd` is only a lower bound; from records of COST_DTYPE."""
    result: NDArray[np.bool_] = (costs["bound"][..., None] >> np.arange(10, dtype=np.uint16) & 1).astype(bool)
    return result
