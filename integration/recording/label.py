"""Labels of blocks, a view of the recorder: libaom's final partitions become a BlockSet for each node size."""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from integration.codec.config import EncoderConfig
from integration.codec.encoded_frame import EncodedFrame
from integration.media.planes import Planes
from integration.media.video import Clip
from integration.recording.config import LabelConfig, RecordConfig, SourceConfig
from integration.recording.pieces import Progress
from integration.recording.record import SearchView
from integration.recording.recorder import manifest_settings, open_encoder, run
from integration.recording.view import Content, Keeper, Piece, Recorded, View
from toolkit.cluster import Cluster
from toolkit.data.blockset import BLOCK_DTYPE, COST_DTYPE, Luma, luma_dtype
from toolkit.data.group import set_name, write_group
from toolkit.data.write import Source, make_records, write_blockset
from toolkit.errors import ToolkitError
from toolkit.files import atomic_folder
from toolkit.partition import NODES

LABELS, LUMA = "labels.npz", "luma"
"""Files of a piece: labels and qindex of every frame, and its luma."""
SMALLEST_SUPERBLOCK = 64
"""Side in pixels of the smaller of AV1's two kinds of superblock, the square from which partitions begin."""


def label(
    paths: Sequence[Path],
    output: Path,
    config: LabelConfig,
    *,
    record: Path | None = None,
    licences: Path | None = None,
    overwrite: bool = False,
    cluster: Cluster | None = None,
    progress: Progress | None = None,
) -> None:
    """Label the sources and write a BlockSet to `output`; `progress(done, total)` counts pieces.

    Where the config names several node sizes, `output` holds a BlockSet for each: node16, node32. With `record` the
    search of every superblock is recorded there in the same pass, as by `record` with a share of 1. `licences` is a TSV
    (columns sha256, licence, source). `cluster` codes the pieces on other machines. Pieces of an earlier run with the
    same settings are reused. Raises ToolkitError for bad sources or settings, before anything is coded.
    """
    if not config.nodes or len(set(config.nodes)) != len(config.nodes) or not set(config.nodes) <= set(NODES):
        listed = ", ".join(map(str, NODES))
        raise ToolkitError(f"Node sizes {config.nodes}: expected one or more different ones of {listed}.")
    views: dict[Path, View] = {output: BlockView(config)}
    if record:
        own, other = output.resolve(), record.resolve()
        if own.is_relative_to(other) or other.is_relative_to(own):
            raise ToolkitError(f"{record}: a record is not written in, or around, the data set {output}.")
        shared = {field.name: getattr(config, field.name) for field in fields(SourceConfig)}
        views[record] = SearchView(RecordConfig(**shared, share=1.0))
    run(paths, views, licences=licences, overwrite=overwrite, cluster=cluster, progress=progress)


@dataclass(frozen=True)
class BlockView(View):
    """Partitions of the nodes of each size, the luma and, where asked, costs."""

    config: LabelConfig
    doing = "labelling"
    one_depth = "a data set has one bit depth. Label them apart."

    def recorded(self) -> Recorded:
        c = self.config
        return Recorded(cost_nodes=c.nodes if c.with_costs else ())

    def check(self, piece: Piece, clip: Clip) -> None:
        node = max(self.config.nodes)
        if min(clip.width, clip.height) < node:
            raise ToolkitError(f"{clip.path}: {clip.width}x{clip.height} has no whole {node}x{node} node.")
        check_superblock(clip, piece, node)

    def keep(self, piece: Piece, clip: Clip) -> "BlockKeeper":
        return BlockKeeper(piece, clip, self.config)

    def write(self, output: Path, pieces: Sequence[Piece], bit_depth: int, overwrite: bool) -> None:
        nodes = sorted(self.config.nodes)
        if len(nodes) == 1:
            write_set(output, pieces, bit_depth, self, nodes[0], overwrite=overwrite)
            return
        with atomic_folder(output, overwrite=overwrite) as folder:
            for node in nodes:
                write_set(folder / set_name(node), pieces, bit_depth, self, node)
            write_group(folder, {set_name(node): folder / set_name(node) for node in nodes})


def check_superblock(clip: Clip, piece: Piece, node: int) -> None:
    """Raise ToolkitError where libaom codes the clip in superblocks that are smaller than the node."""
    if node <= SMALLEST_SUPERBLOCK:
        return
    frame = EncoderConfig(clip.width, clip.height, clip.bit_depth, chroma=clip.chroma)
    grey = [np.full(frame.plane_shape(p), 1 << clip.bit_depth - 1, luma_dtype(clip.bit_depth)) for p in range(3)]
    with open_encoder(clip, piece, Recorded()) as encoder:
        side = encoder.encode(grey).superblock  # libaom's own choice; the picture plays no part in it
    if node > side:
        raise ToolkitError(
            f"{clip.path}: at {clip.width}x{clip.height} and --cpu-used {piece.config.cpu_used} libaom codes "
            f"superblocks of {side}x{side}, so that there is no {node}x{node} node. Leave {node} out of --node, give "
            "frames of more than 480 lines and columns, or code at --cpu-used 0."
        )


class BlockKeeper(Keeper):
    """Labels of a piece by node size (frames, rows, columns), with costs of the whole nodes where asked; qindex
    (frames,); and the luma, of the first cq.

    Costs and luma go to their files frame by frame, because those of a long clip are too many for memory.
    """

    def __init__(self, piece: Piece, clip: Clip, config: LabelConfig) -> None:
        super().__init__(piece)
        self._size = clip.height, clip.width
        self._qindexes: list[int] = []
        self._labels: dict[int, list[NDArray[np.uint8]]] = {node: [] for node in config.nodes}
        self._costs = {node: self.file(f"costs{node}") for node in config.nodes if config.with_costs}
        self._luma = self.file(LUMA) if piece.first else None

    def take_source(self, planes: Planes) -> None:
        if self._luma:
            self._luma.write(planes[0].tobytes())

    def take_frame(self, frame: EncodedFrame, rows: NDArray[Any], seconds: float) -> None:
        self._qindexes.append(frame.qindex)
        height, width = self._size
        for node, labels in self._labels.items():
            labels.append(frame.labels[node])
        for node, target in self._costs.items():
            target.write(frame.costs[node][: height // node, : width // node].tobytes())

    def content(self) -> Content:
        if not self._qindexes:
            raise ToolkitError(f"{self.piece.file.path}: holds no frame.")
        stacked: dict[str, Any] = {f"labels{node}": np.stack(own) for node, own in self._labels.items()}
        qindex, size = np.array(self._qindexes, np.uint8), np.array(self._size)
        np.savez(self.piece.folder / LABELS, qindex=qindex, size=size, **stacked)
        return {}


def write_set(
    output: Path, pieces: Sequence[Piece], bit_depth: int, view: BlockView, node: int, *, overwrite: bool = False
) -> None:
    """Write the BlockSet of one node size.

    Blocks are collected in files beside the pieces, because a long clip has too many of them for memory.
    """
    c, work = view.config, pieces[0].folder.parent
    beside = ["costs"] * c.with_costs
    sources, cut = list[Source](), 0
    with ExitStack() as stack:
        joined = {name: stack.enter_context((work / name).open("wb")) for name in ("blocks", *beside)}
        for piece in pieces:
            with np.load(piece.folder / LABELS) as stored:
                labels, qindex, (height, width) = stored[f"labels{node}"], stored["qindex"], stored["size"].tolist()
            if piece.first:
                shape, f = (len(labels), height, width), piece.file
                luma: Luma = np.memmap(piece.folder / LUMA, luma_dtype(bit_depth), "r", shape=shape)
                sources.append(Source(f.name, f.split, f.sha256, luma, f.licence, f.origin))
            for name in beside:
                with (piece.folder / f"{name}{node}").open("rb") as own:
                    shutil.copyfileobj(own, joined[name])
            whole = labels[:, : height // node, : width // node]
            cut += labels.size - whole.size
            frame, row, column = np.ogrid[tuple(slice(n) for n in whole.shape)]
            q = qindex[:, None, None]
            joined["blocks"].write(make_records(piece.source, frame, row * node, column * node, q, whole).tobytes())
    write_blockset(
        output,
        sources,
        np.memmap(work / "blocks", BLOCK_DTYPE, "r"),
        bit_depth,
        manifest_settings(view),
        block_size=node,
        costs=np.memmap(work / "costs", COST_DTYPE, "r") if c.with_costs else None,
        excluded={"cut by the frame edge": cut},
        overwrite=overwrite,
    )
