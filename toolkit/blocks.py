"""BlockSet: the data contract. Raw luma code values plus one AV1 partition id per 16x16 node and qindex.

Every consumer (train, select, export, parity, pipeline) reads blocks through this module alone.
"""

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ToolkitError
from toolkit.files import is_sealed, read_json, sha256_file
from toolkit.partition import INSIDE_LARGER, NODE, STAGES

KIND = "av1part-blockset"
FORMAT_VERSION = 1
SPLITS = ("train", "val", "test")
BLOCK_DTYPE = np.dtype(
    [("source", "<u2"), ("frame", "<u4"), ("row", "<u2"), ("column", "<u2"), ("qindex", "u1"), ("partition", "u1")]
)
Luma = NDArray[np.uint8] | NDArray[np.uint16]


def luma_dtype(bit_depth: int) -> np.dtype[Any]:
    """uint8 for 8 bit, uint16 for 9 to 16 bit; ToolkitError otherwise."""
    if not 8 <= bit_depth <= 16:
        raise ToolkitError(f"Bit depth {bit_depth}: expected 8 to 16.")
    return np.dtype(np.uint8 if bit_depth == 8 else np.uint16)


def check_luma(luma: NDArray[Any], bit_depth: int, what: str) -> None:
    """Refuse anything but raw luma code values of that bit depth (floats above all: they may be scaled)."""
    expected = luma_dtype(bit_depth)
    if luma.dtype != expected:
        scaled = " It looks scaled already; the model scales once, itself." if luma.dtype.kind == "f" else ""
        raise ToolkitError(f"{what}: luma is {luma.dtype}, expected raw code values as {expected}.{scaled}")
    if luma.size and int(luma.max()) >= 1 << bit_depth:
        raise ToolkitError(
            f"{what}: luma reaches {int(luma.max())}, but {bit_depth} bit end at {(1 << bit_depth) - 1}."
        )


@dataclass(frozen=True)
class Blocks:
    """N blocks in memory: luma (N, 1, 16, 16) uint8 or uint16 raw code values; the rest (N,).

    `target` is the stage's class index (int64), or the AV1 id itself where no stage was named.
    Raises ToolkitError on a wrong dtype or shape, or a value out of range.
    """

    luma: Luma
    qindex: NDArray[np.uint8]
    partition: NDArray[np.uint8]
    target: NDArray[np.int64]
    source: NDArray[np.uint16]
    frame: NDArray[np.uint32]
    row: NDArray[np.uint16]
    column: NDArray[np.uint16]
    bit_depth: int

    def __post_init__(self) -> None:
        check_luma(self.luma, self.bit_depth, "Blocks")
        n = len(self.luma)
        if self.luma.shape != (n, 1, NODE, NODE):
            raise ToolkitError(f"Blocks: luma has shape {self.luma.shape}, expected (N, 1, {NODE}, {NODE}).")
        for name, dtype in (("qindex", np.uint8), ("partition", np.uint8), ("target", np.int64)):
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != (n,):
                raise ToolkitError(f"Blocks: {name} is {array.dtype}{array.shape}, expected {np.dtype(dtype)}({n},).")

    def __len__(self) -> int:
        return len(self.luma)

    def __getitem__(self, index: NDArray[np.integer[Any]] | slice) -> "Blocks":
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Blocks(**{k: v if k == "bit_depth" else v[index] for k, v in values.items()})


@dataclass(frozen=True)
class BlockSet:
    """A folder of `manifest.json`, `blocks.npy` and `luma/<source>.npy`; open it with `BlockSet.load`."""

    path: Path
    manifest: dict[str, Any]
    blocks: NDArray[Any]

    @property
    def bit_depth(self) -> int:
        return int(self.manifest["bit_depth"])

    @property
    def sources(self) -> list[dict[str, Any]]:
        return list(self.manifest["sources"])

    @property
    def sha256(self) -> str:
        """Hash of the manifest, which holds the hash of every file: names this data set exactly."""
        return str(self.manifest["sha256"])

    @cached_property
    def _planes(self) -> dict[int, Luma]:
        return {}

    def luma(self, source: int) -> Luma:
        """All frames of a source, (frames, height, width) raw code values, mapped from the file."""
        if source not in self._planes:
            self._planes[source] = np.load(self.path / self.sources[source]["luma"], mmap_mode="r", allow_pickle=False)
        return self._planes[source]

    @classmethod
    def load(cls, path: Path | str) -> "BlockSet":
        """Open and verify a BlockSet: hashes, dtypes, shapes, ranges, and that no source is in two splits.

        Raises ToolkitError that names the first thing wrong.
        """
        path = Path(path)
        if not path.is_dir():
            raise ToolkitError(
                f"{path}: no such folder. Make a data set with `av1part label` or `av1part data import`."
            )
        manifest = read_json(path / "manifest.json")
        check_manifest(path, manifest)
        check_files(path, manifest)
        try:
            blocks = np.load(path / "blocks.npy", allow_pickle=False)
        except ValueError as error:
            raise ToolkitError(f"{path}/blocks.npy: not a NumPy array ({error}). Make the data set again.") from None
        result = cls(path, manifest, blocks)
        for index, source in enumerate(result.sources):
            plane = result.luma(index)
            expected = (source["frames"], source["height"], source["width"])
            if plane.shape != expected:
                raise ToolkitError(f"{path}: luma of {source['name']} is {plane.shape}, expected {expected}.")
            check_luma(plane, result.bit_depth, f"{path}, source {source['name']}")
        check_blocks(blocks, result.sources, str(path))
        return result

    def take(self, index: NDArray[np.integer[Any]], stage: str | None = None) -> Blocks:
        """The blocks at these positions of `blocks`, in this order, with the targets of that stage."""
        rows = self.blocks[index]
        luma = np.empty((len(rows), 1, NODE, NODE), luma_dtype(self.bit_depth))
        offset = np.arange(NODE)
        for source in np.unique(rows["source"]):
            where = np.flatnonzero(rows["source"] == source)
            r = rows["row"][where].astype(np.int64)[:, None, None] + offset[:, None]
            c = rows["column"][where].astype(np.int64)[:, None, None] + offset
            luma[where, 0] = self.luma(int(source))[rows["frame"][where].astype(np.int64)[:, None, None], r, c]
        partition = rows["partition"].copy()
        target = partition.astype(np.int64) if stage is None else STAGES[stage].targets(partition)
        columns = {k: rows[k].copy() for k in ("qindex", "source", "frame", "row", "column")}
        return Blocks(luma=luma, partition=partition, target=target, bit_depth=self.bit_depth, **columns)

    def split_index(self, split: str, stage: str | None = None) -> NDArray[np.int64]:
        """Positions of a split's decided nodes (no 255), and with a stage only those that it classifies.

        Raises ToolkitError where nothing is left.
        """
        if split not in SPLITS:
            raise ToolkitError(f"Split {split!r}: expected one of {', '.join(SPLITS)}.")
        in_split = np.array([s["split"] == split for s in self.sources], dtype=bool)
        keep = in_split[self.blocks["source"]] & (self.blocks["partition"] != INSIDE_LARGER)
        if stage is not None:
            keep &= STAGES[stage].targets(self.blocks["partition"]) >= 0
        index = np.flatnonzero(keep)
        if not len(index):
            raise ToolkitError(
                f"{self.path}: the {split} split has no block for stage {stage or 'any'}. "
                f"See `av1part data info {self.path}`; label more sources or assign them with --split."
            )
        return index

    def split_blocks(self, split: str, stage: str | None = None, limit: int | None = None, seed: int = 0) -> Blocks:
        """Load a split's blocks, at most `limit`, drawn without replacement by `seed`, kept in file order."""
        index = self.split_index(split, stage)
        if limit is not None and limit < len(index):
            index = np.sort(np.random.default_rng(seed).choice(index, limit, replace=False))
        return self.take(index, stage)


def check_manifest(path: Path, manifest: Any) -> None:
    """Raise ToolkitError unless the manifest is a sealed one of this format with sound sources."""
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise ToolkitError(f"{path}/manifest.json: not a BlockSet's. Older data: `av1part data import`.")
    if manifest.get("format_version") != FORMAT_VERSION:
        found = manifest.get("format_version")
        raise ToolkitError(
            f"{path}: format version {found}, this av1part reads {FORMAT_VERSION}. Label or import it again."
        )
    if not is_sealed(manifest):
        raise ToolkitError(f"{path}/manifest.json was edited: its sha256 does not match. Make the data set again.")
    if manifest.get("block_size") != NODE:
        raise ToolkitError(f"{path}: block size {manifest.get('block_size')}, expected {NODE}.")
    luma_dtype(manifest["bit_depth"])
    split_of: dict[str, str] = {}
    for source in manifest["sources"]:
        if source["split"] not in SPLITS:
            raise ToolkitError(f"{path}: source {source['name']} is in split {source['split']!r}, not in {SPLITS}.")
        for key in (source["name"], source["sha256"]):
            if split_of.setdefault(key, source["split"]) != source["split"]:
                raise ToolkitError(
                    f"{path}: source {source['name']} is in two splits ({split_of[key]} and {source['split']}); "
                    "neighbouring blocks would leak. Give every source exactly one split."
                )


def check_files(path: Path, manifest: dict[str, Any]) -> None:
    """Raise ToolkitError unless every file is there, inside the folder, with the manifest's hash."""
    needed = {"blocks.npy", *(s["luma"] for s in manifest["sources"])}
    if set(manifest["files"]) != needed:
        raise ToolkitError(f"{path}: the manifest lists {sorted(manifest['files'])}, expected {sorted(needed)}.")
    for name, digest in manifest["files"].items():
        file = path / name
        if not file.resolve().is_relative_to(path.resolve()):
            raise ToolkitError(f"{path}: the manifest names {name}, outside the data set.")
        if not file.is_file():
            raise ToolkitError(f"{file}: missing, though the manifest names it. Copy the whole folder.")
        if sha256_file(file) != digest:
            raise ToolkitError(
                f"{file}: changed or truncated (sha256 differs from the manifest). Copy or make it again."
            )


def check_blocks(blocks: NDArray[Any], sources: list[dict[str, Any]], what: str) -> None:
    """Raise ToolkitError unless every record is of BLOCK_DTYPE, lies whole in its frame and has a known id."""
    if blocks.dtype != BLOCK_DTYPE or blocks.ndim != 1:
        raise ToolkitError(f"{what}: blocks are {blocks.dtype}{blocks.shape}, expected 1-D records of {BLOCK_DTYPE}.")
    unknown = np.setdiff1d(blocks["partition"], [*range(10), INSIDE_LARGER])
    if unknown.size:
        raise ToolkitError(f"{what}: unknown partition ids {unknown.tolist()}; AV1 has 0 to 9, and 255 inside larger.")
    if blocks.size and int(blocks["source"].max()) >= len(sources):
        raise ToolkitError(f"{what}: a block names source {int(blocks['source'].max())}, there are {len(sources)}.")
    size = np.array([(s["frames"], s["height"], s["width"]) for s in sources], np.int64).reshape(-1, 3)[
        blocks["source"]
    ]
    bad = (blocks["frame"] >= size[:, 0]) | (blocks["row"] + np.int64(NODE) > size[:, 1])
    bad |= (
        (blocks["column"] + np.int64(NODE) > size[:, 2]) | (blocks["row"] % NODE != 0) | (blocks["column"] % NODE != 0)
    )
    if bad.any():
        raise ToolkitError(f"{what}: {int(bad.sum())} blocks lie off the 16x16 grid or outside their frame.")
