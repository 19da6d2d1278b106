"""Pieces of work, one source at one cq each, coded in several processes."""

from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol, TypeVar

from integration.labelling.config import SourceConfig
from integration.media.raw import raw_layout
from integration.media.sources import SourceFile
from integration.media.video import Clip, open_clip
from toolkit.errors import ToolkitError
from toolkit.processes import worker_pool

Progress = Callable[[int, int], None]
"""Called with the number of finished pieces, and the number of all pieces."""


def open_source(file: SourceFile, config: SourceConfig) -> Clip:
    """Open a source, its frames as the settings say that they are coded; errors as of `open_clip`."""
    raw = raw_layout(file.path, config.raw)
    return open_clip(file.path, config.size, config.frames, raw, allow_truncated=config.allow_truncated)


class HasCq(Protocol):
    """A piece of work that is coded at a cq."""

    @property
    def cq(self) -> int:
        """Constant-quality level."""


Piece = TypeVar("Piece", bound=HasCq)


def code_pieces(
    todo: Sequence[Piece], code: Callable[[Piece], None], jobs: int, progress: Progress | None, total: int
) -> None:
    """Code the pieces, in `jobs` processes; `total` counts those that are done already as well.

    Raises ToolkitError where a process dies; what other pieces have kept stays.
    """
    # A lower cq takes longer. With short pieces last, all processes end at about the same time.
    todo = sorted(todo, key=lambda piece: piece.cq)
    report = progress or (lambda done, of: None)
    done = total - len(todo)
    report(done, total)
    if jobs == 1 or len(todo) < 2:
        for count, piece in enumerate(todo, done + 1):
            code(piece)
            report(count, total)
        return
    with worker_pool(min(jobs, len(todo))) as pool:
        futures = [pool.submit(code, piece) for piece in todo]
        try:
            for count, future in enumerate(as_completed(futures), done + 1):
                future.result()
                report(count, total)
        except BrokenProcessPool:
            raise ToolkitError(
                "A labelling process died (out of memory?). Run the same command again: what is done is kept; "
                "--jobs 1 needs the least memory."
            ) from None
