"""The recorder: libaom codes sources at several cqs, and what its search chose, spent, knew and found is kept.

`label` and `record` are two views of it, a BlockSet and a record of the search, and one pass can write both. The work
is cut into pieces of one source at one cq. Each piece is kept in a folder beside the result as soon as it is done, so
that a run that was killed goes on where it stopped. The streams are byte for byte those of an encode that records
nothing.
"""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from integration.codec import native
from integration.codec.encoder import EncodedFrame, Encoder
from integration.codec.libaom_build import libraries
from integration.media.planes import Planes
from integration.media.raw import layout_text
from integration.media.sources import SourceFile, identify, with_licences, with_splits
from integration.media.video import COLOUR, RESAMPLING, Clip
from integration.recording.pieces import Progress, begin_piece, check_cpus, code_pieces, finish_piece
from integration.recording.view import Content, Keeper, Piece, Recorded, View
from toolkit.cluster import Cluster
from toolkit.cpu import cpu_model
from toolkit.data.encoder_settings import EncoderRecord
from toolkit.errors import ToolkitError
from toolkit.files import canonical_json, check_free, named, one_at_a_time

_NAMED_APART = ("cq", "jobs", "split", "raw")
"""Settings that decide nothing of a piece, or that its folder's name holds in another form."""
_log = logging.getLogger("av1part")


def run(
    paths: Sequence[Path],
    views: Mapping[Path, View],
    *,
    licences: Path | None = None,
    overwrite: bool = False,
    cluster: Cluster | None = None,
    progress: Progress | None = None,
) -> None:
    """Code the sources in one pass and write each view to its path; `progress(done, total)` counts pieces.

    `licences` is a TSV (columns sha256, licence, source). Pieces of an earlier run with the same settings are reused;
    they lie beside the first path, and a path that it has written is not written again. `cluster` codes the pieces on
    other machines. Raises ToolkitError for bad sources or settings, before anything is coded, and where CPU times to be
    kept come from several models of CPU.
    """
    output, config = next((path, view.config) for path, view in views.items())
    work = _hidden(output)
    for path, view in views.items():
        if not _writing(work, view).exists():
            check_free(path, overwrite)
    if not config.cq or len(set(config.cq)) != len(config.cq):
        raise ToolkitError(f"cq {config.cq}: expected one or more different values.")
    files = with_splits(identify(paths), config.split)
    files = with_licences(files, licences) if licences else files
    for path, view in views.items():
        for doubt in view.doubts(files):
            _log.warning("Warning: %s: %s", path, doubt)
    pieces = make_pieces(work, files, tuple(views.values()), libraries().name)
    bit_depth = check_sources(pieces)
    key = "\n".join(piece.folder.name for piece in pieces)
    with ExitStack() as stack:
        stack.enter_context(named(output, work, holds_parts=False))
        for path, view in views.items():
            busy = f"{path}: another run is {view.doing} to it. Wait for it, or choose another name."
            stack.enter_context(one_at_a_time(_hidden(path) / "lock", busy))
            if not _wrote(work, path, view, key):
                check_free(path, overwrite)  # another run may have finished since
        code_pieces(pieces, code, cluster or config.jobs or os.cpu_count() or 1, progress)
        if not (cluster and cluster.mixed_cpus):
            check_cpus(pieces)
        for path, view in views.items():
            if overwrite or not _wrote(work, path, view, key):
                _writing(work, view).write_text(key)
                view.write(path, pieces, bit_depth, overwrite)
        shutil.rmtree(work)


def _writing(work: Path, view: View) -> Path:
    """File that is there from the moment on when a view begins to be written, whole or not at all, to its path."""
    return work / f"{view.doing}.writing"


def _wrote(work: Path, path: Path, view: View, key: str) -> bool:
    """Whether a run that was stopped had written a view of the same pieces, which `key` names, to its path already."""
    mark = _writing(work, view)
    return path.exists() and mark.exists() and mark.read_text() == key


def _hidden(output: Path) -> Path:
    return output.parent / f".{output.name}.work"


def make_pieces(work: Path, files: Sequence[SourceFile], views: tuple[View, ...], build: str) -> list[Piece]:
    """Pieces in folders named by a hash of everything that their content depends on, the encoder's `build` included."""
    c, pieces = views[0].config, list[Piece]()
    decides: list[Any] = [COLOUR, RESAMPLING, build]
    for view in views:
        settings = {name: value for name, value in asdict(view.config).items() if name not in _NAMED_APART}
        decides += [view.doing, settings]
    for index, file in enumerate(files):
        own = [file.sha256, layout_text(file.path, c.raw)]
        key = hashlib.sha256(canonical_json([*own, *decides])).hexdigest()[:16]
        for cq in c.cq:
            first = cq == c.cq[0]  # it keeps what others do not
            folder = work / f"{file.name}-{key}-cq{cq}{'-first' * first}"
            pieces.append(Piece(file, index, cq, first, views, folder))
    return pieces


def check_sources(pieces: Sequence[Piece]) -> int:
    """Open every source, try the settings on the encoder, and return the bit depth that all sources share.

    Raises ToolkitError on a source of which a view can keep nothing, and on different bit depths.
    """
    views = pieces[0].views
    depths: dict[int, Path] = {}
    for piece in pieces:
        if piece.first:
            clip = piece.open()
            depths[clip.bit_depth] = piece.file.path
            for view in views:
                view.check(piece, clip)
        if piece.file is pieces[0].file:
            open_encoder(clip, piece, Recorded.of(views)).close()
    if len(depths) > 1:
        listed = ", ".join(f"{path.name} has {depth} bit" for depth, path in sorted(depths.items()))
        raise ToolkitError(f"{listed}; {views[0].one_depth}")
    return next(iter(depths))


def open_encoder(clip: Clip, piece: Piece, recorded: Recorded) -> Encoder:
    """Encoder of a piece that records."""
    r = recorded
    encoder = Encoder(piece.config.at(clip.width, clip.height, clip.bit_depth, piece.cq, clip.chroma))
    try:
        encoder.search_frames(r.frame_kind)
        if r.cost_nodes:
            encoder.log_costs(*r.cost_nodes)
        if r.share:  # another seed for each source, so that equal places of several are drawn apart
            encoder.record_search(r.share, (r.seed + piece.source) & 0xFFFFFFFF)
    except BaseException:
        encoder.close()
        raise
    return encoder


def code(piece: Piece) -> None:
    """Encode a source at one cq, and keep what the views want of it."""
    clip = piece.open()
    begin_piece(piece.folder)
    with ExitStack() as stack:
        keepers = [stack.enter_context(view.keep(piece, clip)) for view in piece.views]
        for frame, rows, seconds in _coded(piece, clip, keepers):
            for keeper in keepers:
                keeper.take_frame(frame, rows, seconds)
    content: Content = {"cpu": cpu_model()}
    for keeper in keepers:
        content |= keeper.content()
    finish_piece(piece.folder, content)


def _coded(piece: Piece, clip: Clip, keepers: Sequence[Keeper]) -> Iterator[tuple[EncodedFrame, NDArray[Any], float]]:
    """Each coded frame, the rows of its search, and the CPU seconds of the call that gave it."""
    with open_encoder(clip, piece, Recorded.of(piece.views)) as encoder:
        # libaom's one thread alone: a worker of a cluster has others, which talk to its scheduler.
        clock = time.thread_time if piece.config.threads == 1 else time.process_time
        for frame, seconds in _timed(encoder, _shown(clip.frames(), keepers), clock):
            yield frame, encoder.search_rows(), seconds


def _shown(frames: Iterator[Planes], keepers: Sequence[Keeper]) -> Iterator[Planes]:
    """The same frames, which the keepers see as they come."""
    for planes in frames:
        for keeper in keepers:
            keeper.take_source(planes)
        yield planes


def _timed(
    encoder: Encoder, planes: Iterator[Planes], clock: Callable[[], float]
) -> Iterator[tuple[EncodedFrame, float]]:
    """Code frames; yield each coded one with the CPU seconds, by `clock`, of the call that gave it."""
    flushed = encoder.flush()
    while True:
        own = next(planes, None)
        before = clock()
        frame = next(flushed, None) if own is None else encoder.feed(own)
        seconds = clock() - before
        if frame:
            yield frame, seconds
        elif own is None:
            return


def manifest_settings(view: View) -> EncoderRecord:
    """Encoder settings, cq levels and treatment of the input, as every view's manifest records them."""
    c = view.config
    version = native.libaom_version(native.load(libraries().hook))
    settings = c.recorded(version, c.chroma)
    settings["cq"] = list(c.cq)
    settings["input"] = {
        "size": c.size_text or "source", "frames": c.frames, "colour": COLOUR, "resampling": RESAMPLING
    }  # fmt: skip
    return settings
