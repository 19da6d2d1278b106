"""The record of the search, a view of the recorder: what libaom knew and found at every square is kept row by row.

A record holds frames of one kind. Of inter frames an entry is a packet: the frame that it shows, and the hidden ones
that were coded before it.
"""

import hashlib
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from integration.codec import native
from integration.codec.encoded_frame import EncodedFrame
from integration.codec.libaom_build import libraries
from integration.media.planes import Planes
from integration.media.sources import SourceFile
from integration.media.video import Clip
from integration.recording.config import RecordConfig
from integration.recording.pieces import Progress, read_piece
from integration.recording.recorder import manifest_settings, run
from integration.recording.view import Content, Keeper, Piece, Recorded, View
from toolkit.cluster import Cluster
from toolkit.errors import ToolkitError
from toolkit.files import atomic_folder
from toolkit.pruners.record import FrameEntry, RecordedSource, doubts, rows_file, write_search_set

_log = logging.getLogger("av1part")


def record(
    paths: Sequence[Path],
    output: Path,
    config: RecordConfig,
    *,
    licences: Path | None = None,
    overwrite: bool = False,
    cluster: Cluster | None = None,
    progress: Progress | None = None,
) -> None:
    """Record the search of the sources' frames in a folder that SearchSet.load opens.

    `licences`: a TSV (columns sha256, licence, source); `progress(done, total)` counts pieces, which `cluster` codes
    on other machines. Raises ToolkitError for bad sources or settings before anything is coded.
    """
    run(paths, {output: SearchView(config)}, licences=licences, overwrite=overwrite, cluster=cluster, progress=progress)


@dataclass(frozen=True)
class SearchView(View):
    """Rows of the squares of the recorded superblocks, of frames of one kind."""

    config: RecordConfig
    doing = "recording"
    timed = True
    one_depth = "a record has one bit depth. Record them apart."

    def recorded(self) -> Recorded:
        c = self.config
        return Recorded((), c.share, c.seed, c.frame_kind)

    def doubts(self, files: Sequence[SourceFile]) -> list[str]:
        return doubts([file.split for file in files])

    def keep(self, piece: Piece, clip: Clip) -> "SearchKeeper":
        return SearchKeeper(piece, clip, self.config)

    def write(self, output: Path, pieces: Sequence[Piece], bit_depth: int, overwrite: bool) -> None:
        library, c = native.load(libraries().hook), self.config
        sources, entries = list[RecordedSource](), list[FrameEntry]()
        with atomic_folder(output, overwrite=overwrite) as folder:
            (folder / "rows").mkdir()
            for piece in pieces:
                content, f = read_piece(piece.folder), piece.file
                for entry in content["entries"]:
                    shutil.copyfile(piece.folder / Path(entry["file"]).name, folder / entry["file"])
                    entries.append(FrameEntry(**entry))
                if piece.first:
                    sources.append({
                        "name": f.name, "split": f.split, "sha256": f.sha256, "licence": f.licence, "origin": f.origin,
                        "luma_sha256": content["luma_sha256"],
                    })  # fmt: skip
            settings = manifest_settings(self) | {
                "frame_kind": c.frame_kind,
                "recorded": {"share": c.share, "seed": c.seed},
                "feature_table": native.feature_table_name(library, c.frame_kind),
            }
            table = native.feature_table(library, c.frame_kind)
            write_search_set(folder, bit_depth, settings, table, sources, entries)


class SearchKeeper(Keeper):
    """Rows and entries of every frame of the recorded kind, and the luma's hash."""

    def __init__(self, piece: Piece, clip: Clip, config: RecordConfig) -> None:
        super().__init__(piece)
        self._kind = config.frame_kind
        self._pixels = clip.width * clip.height
        self._entries: list[FrameEntry] = []
        self._luma = hashlib.sha256()

    def take_source(self, planes: Planes) -> None:
        self._luma.update(planes[0].tobytes())

    def take_frame(self, frame: EncodedFrame, rows: NDArray[Any], seconds: float) -> None:
        if frame.key == (self._kind == "inter"):
            return
        name = rows_file(self.piece.file.name, self.piece.cq, frame.number)
        np.save(self.piece.folder / Path(name).name, rows, allow_pickle=False)
        place = self.piece.source, frame.number, self.piece.cq, max(frame.qindex, 0)
        self._entries.append(FrameEntry(*place, 8 * len(frame.data), self._pixels, seconds, name))

    def content(self) -> Content:
        if not self._entries:
            what = "frame" if self._kind == "key" else "inter frame: at least two frames are needed"
            raise ToolkitError(f"{self.piece.file.path}: holds no {what}.")
        return {"entries": [asdict(entry) for entry in self._entries], "luma_sha256": self._luma.hexdigest()}
