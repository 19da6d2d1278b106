"""BlockSet, the data contract: raw luma code values, and one AV1 partition id for each node and qindex.

Every step (training, selection, export, proof, pipeline) reads blocks through this module.
"""

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.arrays import load_array
from toolkit.data.format import (
    BESIDE,
    BLOCK_DTYPE,
    COST_DTYPE,
    COSTS,
    FORMAT,
    MEND,
    Luma,
    Manifest,
    SourceEntry,
    check_blocks,
    check_costs,
    check_input,
    check_luma,
    check_manifest,
    files_of,
    histogram,
    luma_dtype,
)
from toolkit.data.sampling import draw
from toolkit.data.splits import SPLITS
from toolkit.errors import ToolkitError
from toolkit.partition import INSIDE_LARGER, NODE, STAGES, stage_of
from toolkit.sealed import check_files, check_names
from toolkit.windows import CONTEXTS, Window, cut_windows

__all__ = [
    "BLOCK_DTYPE",
    "COST_DTYPE",
    "SPLITS",
    "BlockSet",
    "Blocks",
    "Inputs",
    "Luma",
    "check_input",
    "check_luma",
    "luma_dtype",
]

Inputs = tuple[NDArray[Any], ...]
"""What a model takes for N blocks: luma and qindex."""


@dataclass(frozen=True)
class Blocks:
    """N blocks in memory: luma (N, 1, S, S), raw code values as uint8 or uint16; all other arrays are (N,).

    S = node + 2 x context: the node stands in the middle, as `toolkit.windows` cuts it. `target` is the stage's class
    index (int64), or the AV1 id itself where no stage was named. `costs` are records of COST_DTYPE, or None where the
    data set has none. Raises ToolkitError on a wrong dtype or shape, or a value out of range.
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
    costs: NDArray[Any] | None = None
    node: int = NODE

    def __post_init__(self) -> None:
        check_luma(self.luma, self.bit_depth, "Blocks")
        n = self.luma.shape[0] if self.luma.ndim else 0
        sizes = [Window(self.node, c).size for c in CONTEXTS]
        if self.luma.ndim != 4 or self.luma.shape[1:] not in [(1, size, size) for size in sizes]:
            raise ToolkitError(
                f"Blocks: luma has shape {self.luma.shape}, expected windows (N, 1, S, S) with S one of "
                f"{', '.join(map(str, sizes))} around {self.node}x{self.node} nodes."
            )
        dtypes = {k: BLOCK_DTYPE[k] for k in ("qindex", "partition", "source", "frame", "row", "column")}
        for name, dtype in {**dtypes, "target": np.dtype(np.int64)}.items():
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != (n,):
                raise ToolkitError(f"Blocks: {name} is {array.dtype}{array.shape}, expected {dtype}({n},).")
        if self.costs is not None:
            check_costs(self.costs, n, "Blocks")

    @property
    def inputs(self) -> Inputs:
        """What a model takes, in the order of its inputs."""
        return self.luma, self.qindex

    @property
    def window(self) -> Window:
        """Node size and context of the luma."""
        return Window(self.node, (int(self.luma.shape[3]) - self.node) // 2)

    def __len__(self) -> int:
        return len(self.luma)

    def __getitem__(self, index: NDArray[np.integer[Any]] | NDArray[np.bool_] | slice) -> "Blocks":
        """The blocks at these places, in this order; ToolkitError on a single number."""
        if not isinstance(index, slice) and np.ndim(index) != 1:
            raise ToolkitError(
                f"Blocks: {index!r:.60} is no slice or array of places. One block is blocks[5:6]; its pixels are "
                "blocks.luma[5], its class is blocks.target[5]."
            )
        values: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            values[field.name] = value[index] if isinstance(value, np.ndarray) else value
        return Blocks(**values)


@dataclass(frozen=True)
class BlockSet:
    """A folder of `manifest.json`, `blocks.npy` and `luma/<source>.npy`; open it with `BlockSet.load`.

    `costs`: a record of COST_DTYPE for each block, from `costs.npy`; None where the folder has no such file.
    """

    path: Path
    manifest: Manifest
    blocks: NDArray[Any]
    costs: NDArray[Any] | None = None

    @property
    def bit_depth(self) -> int:
        return int(self.manifest["bit_depth"])

    @property
    def node(self) -> int:
        """Side of the labelled nodes, in pixels."""
        return int(self.manifest["block_size"])

    @property
    def sources(self) -> list[SourceEntry]:
        return list(self.manifest["sources"])

    @property
    def sha256(self) -> str:
        """Hash of the manifest, which holds the hash of every file; so it identifies the data set exactly."""
        return str(self.manifest["sha256"])

    @cached_property
    def _planes(self) -> dict[int, Luma]:
        return {}

    def luma(self, source: int) -> Luma:
        """All frames of a source: raw code values (frames, height, width), memory-mapped from the file."""
        if source not in self._planes:
            self._planes[source] = load_array(self.path / self.sources[source]["luma"], MEND, mapped=True)
        return self._planes[source]

    @classmethod
    def load(cls, path: Path | str, *, mapped: bool = False) -> "BlockSet":
        """Open a BlockSet and check its hashes, dtypes, shapes and ranges, and that no source is in two splits.

        `mapped` leaves blocks and costs in their files, as luma always is, in place of reading them. Raises
        ToolkitError on the first check that fails.
        """
        path = Path(path)
        manifest = check_manifest(path, FORMAT.read(path))
        check_files(path, manifest["files"], files_of(manifest), "data set")
        check_names(path, manifest["files"], BESIDE)
        costs = load_array(path / COSTS, MEND, mapped=mapped) if COSTS in manifest["files"] else None
        result = cls(path, manifest, load_array(path / "blocks.npy", MEND, mapped=mapped), costs)
        for index, source in enumerate(result.sources):
            plane = result.luma(index)
            expected = (source["frames"], source["height"], source["width"])
            if plane.shape != expected:
                raise ToolkitError(f"{path}: luma of {source['name']} is {plane.shape}, expected {expected}.")
            check_luma(plane, result.bit_depth, f"{path}, source {source['name']}")
        check_blocks(result.blocks, result.sources, result.node, str(path))
        if histogram(result.blocks, result.sources) != manifest["histogram"]:
            raise ToolkitError(f"{path}/manifest.json: the histogram is not that of the blocks. {MEND}")
        if costs is not None:
            check_costs(costs, len(result.blocks), str(path))
        return result

    def take(
        self,
        index: NDArray[np.integer[Any]],
        stage: str | None = None,
        window: Window | None = None,
    ) -> Blocks:
        """Load the blocks at these positions of `blocks`, in this order, with the targets of `stage`.

        `window` says how much to cut out, by default the nodes alone. Raises ToolkitError where the window is of
        another node size, and where it has context and a source holds loose blocks, which have no surroundings.
        """
        rows = self.blocks[index]
        window = window or Window(self.node)
        if window.node != self.node:
            raise ToolkitError(
                f"{self.path}: labels of {self.node}x{self.node} nodes, asked for as windows of a {window}. "
                f"Use a model, or a data set (`av1part label --node`), of the other's node size."
            )
        luma = np.empty((len(rows), *window.shape), luma_dtype(self.bit_depth))
        for source in np.unique(rows["source"]):
            plane = self.luma(int(source))
            if window.context and plane.shape[1:] == (self.node, self.node):
                raise ToolkitError(
                    f"{self.path}: {self.sources[int(source)]['name']} holds loose {self.node}x{self.node} blocks "
                    f"without their frames, so no context of {window.context} pixels. Use --context 0, or label the "
                    "clips."
                )
            where = np.flatnonzero(rows["source"] == source)
            at = rows[where]
            luma[where] = cut_windows(plane, at["frame"], at["row"], at["column"], window)
        partition = rows["partition"].copy()
        target = partition.astype(np.int64) if stage is None else STAGES[stage].targets(partition)
        columns = {k: rows[k].copy() for k in ("qindex", "source", "frame", "row", "column")}
        costs = None if self.costs is None else self.costs[index]
        return Blocks(
            luma=luma,
            partition=partition,
            target=target,
            bit_depth=self.bit_depth,
            costs=costs,
            node=self.node,
            **columns,
        )

    def split_index(self, split: str, stage: str | None = None) -> NDArray[np.int64]:
        """Positions in `blocks` of a split's decided nodes (no label 255); with `stage`, only those that it classifies.

        Raises ToolkitError on another split, and where no position is left.
        """
        if split not in SPLITS:
            raise ToolkitError(f"Split {split!r}: expected one of {', '.join(SPLITS)}.")
        in_split = np.array([s["split"] == split for s in self.sources], dtype=bool)
        keep = in_split[self.blocks["source"]] & (self.blocks["partition"] != INSIDE_LARGER)
        if stage is not None:
            keep &= stage_of(stage, self.node).targets(self.blocks["partition"]) >= 0
        index = np.flatnonzero(keep)
        if not len(index):
            raise ToolkitError(
                f"{self.path}: the {split} split has no block for stage {stage or 'any'}. "
                f"See `av1part data info {self.path}`; label more sources or assign them with --split."
            )
        return index

    def split_blocks(
        self,
        split: str,
        stage: str | None = None,
        limit: int | None = None,
        seed: int = 0,
        window: Window | None = None,
    ) -> Blocks:
        """Load a split's blocks in file order; with `limit`, at most `limit` of them, drawn by `seed`."""
        return self.take(draw(self.split_index(split, stage), limit, seed), stage, window)
