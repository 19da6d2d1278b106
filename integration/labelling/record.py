"""Recording the search: sources are coded by the real libaom, and what it knew and found at every node is kept.

One source at one cq is a piece of work, kept beside the result as soon as it is done: a run that was killed goes on
where it stopped. The streams are byte for byte those of an encode that records nothing. A record holds frames of one
kind. Of inter frames an entry is a packet: the frame that it shows, and the hidden ones that were coded before it.

A second round records the search as a pruner leaves it. What a decision skips is not known, so in each recorded
superblock the squares of one size, drawn by seed, are searched whole: of these alone rows say that a decision was
reached. Bits and seconds of the frame are those of an encode without the pruner, so that losses, times and prices have
one unit in all rounds.
"""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from ctypes import CDLL
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from integration.codec import native
from integration.codec.config import EncoderConfig, encoder_settings
from integration.codec.encoder import EncodedFrame, Encoder
from integration.codec.libaom_build import libraries
from integration.labelling.config import RecordConfig
from integration.labelling.pieces import Progress, begin_piece, code_pieces, finish_piece, open_source, read_piece
from integration.media.planes import Planes
from integration.media.raw import layout_text
from integration.media.sources import SourceFile, identify, with_licences, with_splits
from integration.media.video import COLOUR, RESAMPLING, Clip
from integration.pruning.bundle import PrunerBundle
from integration.pruning.encoder import use_pruner
from toolkit.errors import ToolkitError
from toolkit.files import atomic_folder, canonical_json, check_free, named, one_at_a_time
from toolkit.pruners.record import FrameEntry, RecordedSource, doubts, rows_file, write_search_set
from toolkit.pruners.record_format import Round

_log = logging.getLogger("av1part")


@dataclass(frozen=True)
class Piece:
    """One source at one cq; `folder` holds the rows of its frames."""

    file: SourceFile
    source: int
    cq: int
    config: RecordConfig
    folder: Path

    def open(self) -> Clip:
        """The source's frames as this piece codes them."""
        return open_source(self.file, self.config)


def record(
    paths: Sequence[Path],
    output: Path,
    config: RecordConfig,
    *,
    licences: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Record the search of the sources' frames in a folder that SearchSet.load opens.

    `licences`: a TSV (columns sha256, licence, source); `progress(done, total)` counts pieces. Raises ToolkitError for
    bad sources or settings before anything is coded.
    """
    check_free(output, overwrite)
    files = with_splits(identify(paths), config.split)
    files = with_licences(files, licences) if licences else files
    work = output.parent / f".{output.name}.work"
    build, under = libraries().hook.parent.name, _round(config)
    for doubt in doubts([file.split for file in files]):  # before hours of coding, not after them
        _log.warning("Warning: %s: %s", output, doubt)
    pieces = [
        Piece(file, index, cq, config, work / f"{file.name}-{_key(file, config, build, under)}-cq{cq}")
        for index, file in enumerate(files)
        for cq in config.cq
    ]
    bit_depth = _check_sources(pieces)
    busy = f"{output}: another run is recording to it. Wait for it, or choose another name."
    with named(output, work, holds_parts=False), one_at_a_time(work / "lock", busy):
        check_free(output, overwrite)  # another run may have finished since
        code_pieces(pieces, code, config.jobs or os.cpu_count() or 1, progress)
        _write(output, pieces, bit_depth, config, overwrite)
        shutil.rmtree(work)


def _key(file: SourceFile, config: RecordConfig, build: str, under: Mapping[str, Any]) -> str:
    """Hash of all that a piece's content depends on but its cq."""
    raw = layout_text(file.path, config.raw)
    decides = [file.sha256, config.usage, config.cpu_used, config.size, config.frames, raw, config.four_way]
    decides += [config.share, config.seed, config.allow_truncated, COLOUR, RESAMPLING, build, config.keyint, config.lag]
    decides += list(under.values())
    return hashlib.sha256(canonical_json(decides)).hexdigest()[:16]


def _round(config: RecordConfig) -> Round:
    """The pruner and price that a second round is recorded under, as a source's entry names them; else empty.

    Raises ToolkitError on inter frames: two encodes of a clip need not have the same packets.
    """
    if config.pruner is None:
        return {}
    pruner = PrunerBundle.load(config.pruner)
    if "inter" in (config.frame_kind, pruner.frame_kind):
        raise ToolkitError(f"{pruner.path}: a second round is recorded of key frames alone, by a pruner of key frames.")
    return {"pruner": pruner.sha256, "price": pruner.price if config.price is None else config.price}


def _check_sources(pieces: Sequence[Piece]) -> int:
    """Open every source once and try the settings; returns the bit depth that all share."""
    depths: dict[int, Path] = {}
    for piece in pieces:
        if piece.cq != piece.config.cq[0]:
            continue
        clip = piece.open()
        depths[clip.bit_depth] = piece.file.path
        if piece.source == 0:
            pruner = PrunerBundle.load(piece.config.pruner) if piece.config.pruner else None
            _encoder(clip, piece, pruner).close()
    if len(depths) > 1:
        listed = ", ".join(f"{path.name} has {depth} bit" for depth, path in sorted(depths.items()))
        raise ToolkitError(f"{listed}; a record has one bit depth. Record them apart.")
    return next(iter(depths))


def _encoder(clip: Clip, piece: Piece, pruner: PrunerBundle | None = None) -> Encoder:
    """Encoder that records, with the pruner in it where there is one."""
    c = piece.config
    settings = EncoderConfig(
        clip.width,
        clip.height,
        clip.bit_depth,
        piece.cq,
        c.cpu_used,
        c.usage,
        keyint=c.keyint,
        lag=c.lag,
        four_way=c.four_way,
    )
    encoder = Encoder(settings)
    try:
        encoder.search_frames(c.frame_kind)
        if pruner:
            use_pruner(encoder, pruner, c.price)
        # Another seed for each source, so that equal places of several are drawn apart.
        encoder.record_search(c.share, (c.seed + piece.source) & 0xFFFFFFFF)
    except BaseException:
        encoder.close()
        raise
    return encoder


def code(piece: Piece) -> None:
    """Encode a source at one cq; keep rows and entries of every frame of the recorded kind, and the luma's hash."""
    clip, entries, luma = piece.open(), [], hashlib.sha256()
    pruner = PrunerBundle.load(piece.config.pruner) if piece.config.pruner else None
    begin_piece(piece.folder)
    with _encoder(clip, piece) as encoder, _encoder(clip, piece, pruner) if pruner else encoder as recorder:
        beside = _timed(recorder, clip.frames()) if recorder is not encoder else None
        for frame, seconds in _timed(encoder, _hashed(clip.frames(), luma)):
            if beside is not None:
                next(beside)
            if frame.key == (piece.config.frame_kind == "inter"):
                continue
            name = rows_file(piece.file.name, piece.cq, frame.number)
            np.save(piece.folder / Path(name).name, recorder.search_rows(), allow_pickle=False)
            place = piece.source, frame.number, piece.cq, max(frame.qindex, 0)
            entries.append(FrameEntry(*place, 8 * len(frame.data), clip.width * clip.height, seconds, name))
    if not entries:
        what = "frame" if piece.config.frame_kind == "key" else "inter frame: at least two frames are needed"
        raise ToolkitError(f"{piece.file.path}: holds no {what}.")
    finish_piece(piece.folder, {"entries": [asdict(entry) for entry in entries], "luma_sha256": luma.hexdigest()})


def _hashed(frames: Iterator[Planes], luma: "hashlib._Hash") -> Iterator[Planes]:
    """The same frames, whose luma is added to the hash as they come."""
    for planes in frames:
        luma.update(planes[0].tobytes())
        yield planes


def _timed(encoder: Encoder, planes: Iterator[Planes]) -> Iterator[tuple[EncodedFrame, float]]:
    """Code frames; yield each coded one with the CPU seconds of the call that gave it."""
    flushed = encoder.flush()
    while True:
        own = next(planes, None)
        before = time.process_time()
        frame = next(flushed, None) if own is None else encoder.feed(own)
        seconds = time.process_time() - before
        if frame:
            yield frame, seconds
        elif own is None:
            return


def _write(
    output: Path,
    pieces: Sequence[Piece],
    bit_depth: int,
    config: RecordConfig,
    overwrite: bool,
) -> None:
    """Put the pieces together as a record at `output`."""
    library, under = native.load(libraries().hook), _round(config)
    sources, entries = list[RecordedSource](), list[FrameEntry]()
    with atomic_folder(output, overwrite=overwrite) as folder:
        (folder / "rows").mkdir()
        for piece in pieces:
            content, f = read_piece(piece.folder), piece.file
            for entry in content["entries"]:
                shutil.copyfile(piece.folder / Path(entry["file"]).name, folder / entry["file"])
                entries.append(FrameEntry(**entry))
            if piece.cq == config.cq[0]:
                source: RecordedSource = {
                    "name": f.name, "split": f.split, "sha256": f.sha256, "licence": f.licence, "origin": f.origin,
                    "luma_sha256": content["luma_sha256"],
                }  # fmt: skip
                sources.append({**source, **under})
        settings = _settings(config, library)
        write_search_set(folder, bit_depth, settings, native.feature_table(library), sources, entries)


def _settings(config: RecordConfig, library: CDLL) -> dict[str, Any]:
    """Encoder settings, cq levels and treatment of the input, as the manifest records them."""
    version = native.libaom_version(library)
    settings = encoder_settings(
        config.usage, config.cpu_used, version, four_way=config.four_way, keyint=config.keyint, lag=config.lag
    )
    settings |= {"cq": list(config.cq), "frame_kind": config.frame_kind}
    size = "source" if config.size is None else f"{config.size[0]}x{config.size[1]}"
    settings |= {"input": {"size": size, "frames": config.frames, "colour": COLOUR, "resampling": RESAMPLING}}
    settings |= {"recorded": {"share": config.share, "seed": config.seed}}
    return settings | {"feature_table": native.feature_table_name(library)}
