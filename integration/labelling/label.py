"""Labelling: libaom codes sources at several cqs, and its final partitions become a BlockSet for each node size.

The work is cut into pieces of one source at one cq. Each piece is kept in a folder beside the result as soon as it is
done, so that a run that was killed goes on where it stopped.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from integration.codec import native
from integration.codec.encoder import Encoder, EncoderConfig, encoder_settings
from integration.codec.libaom_build import libraries
from integration.labelling.config import LabelConfig
from integration.labelling.pieces import Progress, begin_piece, code_pieces, finish_piece, open_source
from integration.media.raw import layout_text
from integration.media.sources import SourceFile, identify, with_licences, with_splits
from integration.media.video import COLOUR, RESAMPLING, Clip
from toolkit.data.blockset import BLOCK_DTYPE, COST_DTYPE, Luma, luma_dtype
from toolkit.data.group import set_name, write_group
from toolkit.data.inside import FeatureEntry, SearchFeatures, SearchTable
from toolkit.data.write import Source, make_records, write_blockset
from toolkit.errors import ToolkitError
from toolkit.files import atomic_folder, canonical_json, check_free, named, one_at_a_time
from toolkit.partition import NODES

SMALLEST_SUPERBLOCK = 64
"""Side in pixels of the smaller of AV1's two kinds of superblock, the square from which partitions begin."""


@dataclass(frozen=True)
class Piece:
    """One source at one cq, the unit of work.

    Its `folder` holds labels.npz, for each node size costs and features of the search where these are asked for, and
    with `keeps_luma` the luma.
    """

    file: SourceFile
    cq: int
    keeps_luma: bool
    config: LabelConfig
    folder: Path

    @property
    def labels_path(self) -> Path:
        return self.folder / "labels.npz"

    @property
    def luma_path(self) -> Path:
        return self.folder / "luma"

    def costs_path(self, node: int) -> Path:
        return self.folder / f"costs{node}"

    def search_path(self, node: int) -> Path:
        return self.folder / f"search{node}"

    def open(self) -> Clip:
        """Open the source, its frames as this piece codes them."""
        return open_source(self.file, self.config)


def label(
    paths: Sequence[Path],
    output: Path,
    config: LabelConfig,
    *,
    licences: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Label the sources and write a BlockSet to `output`; `progress(done, total)` counts pieces.

    Where the config names several node sizes, `output` holds a BlockSet for each: node16, node32. `licences` is a TSV
    (columns sha256, licence, source). Pieces of an earlier run with the same settings are reused. Raises ToolkitError
    for bad sources or settings, before anything is coded.
    """
    check_free(output, overwrite)
    if not config.cq or len(set(config.cq)) != len(config.cq):
        raise ToolkitError(f"cq {config.cq}: expected one or more different values.")
    if not config.nodes or len(set(config.nodes)) != len(config.nodes) or not set(config.nodes) <= set(NODES):
        listed = ", ".join(map(str, NODES))
        raise ToolkitError(f"Node sizes {config.nodes}: expected one or more different ones of {listed}.")
    files = with_splits(identify(paths), config.split)
    files = with_licences(files, licences) if licences else files
    work = output.parent / f".{output.name}.work"
    build = libraries().hook.parent.name
    pieces = [make_piece(work, file, cq, config, build) for file in files for cq in config.cq]
    bit_depth = check_sources(pieces)
    busy = f"{output}: another run is labelling to it. Wait for it, or choose another name."
    with named(output, work, holds_parts=False), one_at_a_time(work / "lock", busy):
        check_free(output, overwrite)  # another run may have finished since
        code_pieces(pieces, code, config.jobs or os.cpu_count() or 1, progress)
        write(output, files, pieces, bit_depth, config, overwrite)
        shutil.rmtree(work)


def make_piece(work: Path, file: SourceFile, cq: int, config: LabelConfig, build: str) -> Piece:
    """Piece named by a hash of everything that its content depends on, the encoder's `build` included."""
    raw = layout_text(file.path, config.raw)
    decides = [file.sha256, config.usage, config.cpu_used, config.size, config.frames, raw, COLOUR, RESAMPLING]
    decides += [list(config.nodes), "costs"] if config.with_costs else [list(config.nodes)]
    decides += ["truncated"] if config.allow_truncated else []
    decides += ["four-way"] if config.four_way else []
    decides += ["search"] if config.search else []
    key = hashlib.sha256(canonical_json([*decides, build])).hexdigest()[:16]
    return Piece(file, cq, cq == config.cq[0], config, work / f"{file.name}-{key}-cq{cq}")


def check_sources(pieces: Sequence[Piece]) -> int:
    """Open every source, try the settings on the encoder, and return the bit depth that all sources share.

    Raises ToolkitError on a source without a whole node or with superblocks smaller than one, and on different bit
    depths.
    """
    depths: dict[int, Path] = {}
    for piece in pieces:
        if piece.keeps_luma:
            clip = piece.open()
            depths[clip.bit_depth] = piece.file.path
            node = max(piece.config.nodes)
            if min(clip.width, clip.height) < node:
                raise ToolkitError(f"{clip.path}: {clip.width}x{clip.height} has no whole {node}x{node} node.")
            check_superblock(clip, piece, node)
        if piece.file is pieces[0].file:
            open_encoder(clip, piece).close()
    if len(depths) > 1:
        listed = ", ".join(f"{path.name} has {depth} bit" for depth, path in sorted(depths.items()))
        raise ToolkitError(f"{listed}; a data set has one bit depth. Label them apart.")
    return next(iter(depths))


def check_superblock(clip: Clip, piece: Piece, node: int) -> None:
    """Raise ToolkitError where libaom codes the clip in superblocks that are smaller than the node."""
    if node <= SMALLEST_SUPERBLOCK:
        return
    frame = EncoderConfig(clip.width, clip.height, clip.bit_depth)
    grey = [np.full(frame.plane_shape(p), 1 << clip.bit_depth - 1, luma_dtype(clip.bit_depth)) for p in range(3)]
    with open_encoder(clip, piece) as encoder:
        side = encoder.encode(grey).superblock  # libaom's own choice; the picture plays no part in it
    if node > side:
        raise ToolkitError(
            f"{clip.path}: at {clip.width}x{clip.height} and --cpu-used {piece.config.cpu_used} libaom codes "
            f"superblocks of {side}x{side}, so that there is no {node}x{node} node. Leave {node} out of --node, give "
            "frames of more than 480 lines and columns, or code at --cpu-used 0."
        )


def open_encoder(clip: Clip, piece: Piece) -> Encoder:
    c = piece.config
    settings = EncoderConfig(
        clip.width, clip.height, clip.bit_depth, piece.cq, c.cpu_used, c.usage, four_way=c.four_way
    )
    return Encoder(settings)


def code(piece: Piece) -> None:
    """Encode a piece and keep, for each node size, labels (frames, rows, columns), and costs and features of the whole
    nodes where asked; qindex (frames,); and luma where asked.

    Costs, features and luma go to their files frame by frame, because those of a long clip are too many for memory.
    """
    clip, nodes, qindexes = piece.open(), piece.config.nodes, []
    labels: dict[int, list[NDArray[np.uint8]]] = {node: [] for node in nodes}
    begin_piece(piece.folder)
    with ExitStack() as stack:
        encoder = stack.enter_context(open_encoder(clip, piece))

        def file(path: Path) -> BinaryIO:
            return stack.enter_context(path.open("wb"))

        costs = {}
        if piece.config.with_costs:
            encoder.log_costs(*nodes)
            costs = {node: file(piece.costs_path(node)) for node in nodes}
        search = {}
        if piece.config.search:
            encoder.record_search()
            search = {node: file(piece.search_path(node)) for node in nodes}
        luma = file(piece.luma_path) if piece.keeps_luma else None
        for planes in clip.frames():
            frame = encoder.encode(planes)
            for node in nodes:
                labels[node].append(frame.labels[node])
            for node, target in costs.items():
                target.write(frame.costs[node][: clip.height // node, : clip.width // node].tobytes())
            for node, target in search.items():
                grid = (clip.height // node, clip.width // node)
                target.write(node_features(encoder.search_rows(), node, grid).tobytes())
            qindexes.append(frame.qindex)
            if luma:
                luma.write(planes[0].tobytes())
    if not qindexes:
        raise ToolkitError(f"{piece.file.path}: holds no frame.")
    size = np.array([clip.height, clip.width])
    stacked: dict[str, Any] = {f"labels{node}": np.stack(own) for node, own in labels.items()}
    np.savez(piece.labels_path, qindex=np.array(qindexes, np.uint8), size=size, **stacked)
    finish_piece(piece.folder, {})


def node_features(rows: NDArray[Any], node: int, grid: tuple[int, int]) -> NDArray[np.float32]:
    """Features (rows, columns, features) of the whole nodes of one size, from the record of a frame's search.

    All NaN at nodes that libaom never searched, because a larger block's split was not tried.
    """
    own = rows[rows["side"] == node]
    found = np.full((*grid, rows["features"].shape[1]), np.nan, np.float32)
    found[own["row"] // node, own["column"] // node] = own["features"]
    return found


def write(
    output: Path,
    files: Sequence[SourceFile],
    pieces: Sequence[Piece],
    bit_depth: int,
    config: LabelConfig,
    overwrite: bool,
) -> None:
    """Put the pieces together: a BlockSet at `output`, or a folder there with one for each of several node sizes."""
    if len(config.nodes) == 1:
        write_set(output, files, pieces, bit_depth, config, config.nodes[0], overwrite=overwrite)
        return
    with atomic_folder(output, overwrite=overwrite) as folder:
        for node in sorted(config.nodes):
            write_set(folder / set_name(node), files, pieces, bit_depth, config, node)
        write_group(folder, {set_name(node): folder / set_name(node) for node in sorted(config.nodes)})


def write_set(
    output: Path,
    files: Sequence[SourceFile],
    pieces: Sequence[Piece],
    bit_depth: int,
    config: LabelConfig,
    node: int,
    *,
    overwrite: bool = False,
) -> None:
    """Write the BlockSet of one node size.

    Blocks are collected in files beside the pieces, because a long clip has too many of them for memory.
    """
    sources = list[Source]()
    work = pieces[0].folder.parent
    cut = 0
    with ExitStack() as stack:
        records, costs, search = (
            stack.enter_context((work / name).open("wb")) for name in ("blocks", "costs", "search")
        )
        for index, file in enumerate(files):
            luma: Luma | None = None
            for piece in (p for p in pieces if p.file is file):
                with np.load(piece.labels_path) as stored:
                    labels, qindex, (height, width) = stored[f"labels{node}"], stored["qindex"], stored["size"].tolist()
                if config.with_costs:
                    with piece.costs_path(node).open("rb") as own:
                        shutil.copyfileobj(own, costs)
                if config.search:
                    with piece.search_path(node).open("rb") as own:
                        shutil.copyfileobj(own, search)
                if piece.keeps_luma:
                    luma = np.memmap(piece.luma_path, luma_dtype(bit_depth), "r", shape=(len(labels), height, width))
                whole = labels[:, : height // node, : width // node]
                cut += labels.size - whole.size
                frame, row, column = np.ogrid[tuple(slice(n) for n in whole.shape)]
                q = qindex[:, None, None]
                records.write(make_records(index, frame, row * node, column * node, q, whole).tobytes())
            assert luma is not None
            sources.append(Source(file.name, file.split, file.sha256, luma, file.licence, file.origin))
    write_blockset(
        output,
        sources,
        np.memmap(work / "blocks", BLOCK_DTYPE, "r"),
        bit_depth,
        settings_of(config),
        block_size=node,
        costs=np.memmap(work / "costs", COST_DTYPE, "r") if config.with_costs else None,
        search=SearchFeatures.mapped(work / "search", _table()) if config.search else None,
        excluded={"cut by the frame edge": cut},
        overwrite=overwrite,
    )


def _table() -> SearchTable:
    """Table of the features that the hook records."""
    library = native.load(libraries().hook)
    features = [cast(FeatureEntry, asdict(feature)) for feature in native.feature_table(library)]
    return {"table": native.feature_table_name(library), "features": features}


def settings_of(config: LabelConfig) -> dict[str, Any]:
    """Encoder settings, cq levels and treatment of the input, as the manifest records them."""
    version = native.libaom_version(native.load(libraries().hook))
    settings = encoder_settings(config.usage, config.cpu_used, version, four_way=config.four_way)
    size = "source" if config.size is None else f"{config.size[0]}x{config.size[1]}"
    given = {"size": size, "frames": config.frames, "colour": COLOUR, "resampling": RESAMPLING}
    return settings | {"cq": list(config.cq), "input": given}
