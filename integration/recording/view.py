"""A view of the recorder, which a pass over the sources leaves in a folder, and the pieces of work of the pass."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypedDict

from numpy.typing import NDArray

from integration.codec.encoded_frame import EncodedFrame
from integration.media.planes import Planes
from integration.media.sources import SourceFile
from integration.media.video import Clip
from integration.recording.config import SourceConfig


@dataclass(frozen=True)
class Recorded:
    """What the encoder records, and of which frames.

    `cost_nodes`: sides of the nodes whose costs are recorded. `share`: of the superblocks, 0 to 1, whose search is
    recorded row by row, drawn by `seed`. All else is as in RecordConfig.
    """

    cost_nodes: tuple[int, ...] = ()
    share: float = 0.0
    seed: int = 0
    frame_kind: str = "key"

    @classmethod
    def of(cls, views: "Sequence[View]") -> "Recorded":
        """What all of these views want; of which frames, the last one says."""
        every = [view.recorded() for view in views]
        nodes = {node for one in every for node in one.cost_nodes}
        return replace(every[-1], cost_nodes=tuple(sorted(nodes)), share=max(one.share for one in every))


class Content(TypedDict, total=False):
    """What describes a piece: frames of its record, in JSON types, the hash of their luma, and the coding CPU."""

    entries: list[dict[str, Any]]
    luma_sha256: str
    cpu: str


class Keeper(ABC):
    """What a view keeps of one piece, in files of the piece's folder; as a context it closes them."""

    def __init__(self, piece: "Piece") -> None:
        self.piece = piece
        self._files = ExitStack()

    def file(self, name: str) -> BinaryIO:
        """Open a file of the piece to be written until the context ends."""
        return self._files.enter_context((self.piece.folder / name).open("wb"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    @abstractmethod
    def take_source(self, planes: Planes) -> None:
        """Keep what is wanted of a source frame, before it is coded."""

    @abstractmethod
    def take_frame(self, frame: EncodedFrame, rows: NDArray[Any], seconds: float) -> None:
        """Keep what is wanted of a coded frame: `rows` of the packet's search, and CPU seconds of the coding."""

    @abstractmethod
    def content(self) -> Content:
        """JSON values that describe the files, once they are closed; ToolkitError where nothing came to be kept."""


class View(ABC):
    """What is asked of a pass, kept of each of its pieces, and written in the end.

    `config` says how the sources are read and coded, `doing` what a run that makes the view is doing, `one_depth` what
    to do about sources of several bit depths.
    """

    config: SourceConfig
    doing: str
    one_depth: str
    timed = False
    """Whether it keeps CPU times, which are compared with one another."""

    @abstractmethod
    def recorded(self) -> Recorded:
        """What the encoder has to record for it."""

    def doubts(self, files: Sequence[SourceFile]) -> list[str]:
        """Sentences that say what will be found wanting, to be told before hours of coding."""
        return []

    def check(self, piece: "Piece", clip: Clip) -> None:  # noqa: B027  # most clips will do
        """Raise ToolkitError where the clip has nothing to be kept of."""

    @abstractmethod
    def keep(self, piece: "Piece", clip: Clip) -> Keeper:
        """Keeper for a piece of this clip."""

    @abstractmethod
    def write(self, output: Path, pieces: Sequence["Piece"], bit_depth: int, overwrite: bool) -> None:
        """Put the finished pieces together at `output`."""


@dataclass(frozen=True)
class Piece:
    """One source at one cq, the unit of work; `folder` holds what the `views` keep of it.

    `source` is its place among the sources. What is the same at every cq is kept of the `first` cq alone. All views
    have one SourceConfig.
    """

    file: SourceFile
    source: int
    cq: int
    first: bool
    views: tuple[View, ...]
    folder: Path

    @property
    def config(self) -> SourceConfig:
        """How the source is read and coded."""
        return self.views[0].config

    def open(self) -> Clip:
        """Open the source, its frames as they are coded; errors as of `open_clip`."""
        return self.config.open(self.file.path)
