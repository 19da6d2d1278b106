"""Pieces of work, one source at one cq each: coded in several processes, and kept until the whole is written.

A piece is a folder. It is done when its piece.json, sealed with the hashes of its files, is there and right.
"""

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from itertools import count
from pathlib import Path
from typing import TypedDict

from integration.recording.cluster import code_on_cluster
from integration.recording.view import Content, Piece
from toolkit.cluster import Cluster
from toolkit.errors import ToolkitError
from toolkit.files import sha256_file
from toolkit.processes import worker_pool
from toolkit.sealed import SealedFolder, check_files
from toolkit.shapes import Sha256

DONE = "piece.json"
_MEND = "Run the same command again: it is coded again, and all else is kept."


class _Piece(TypedDict):
    files: dict[str, Sha256]
    content: Content


FORMAT = SealedFolder("av1part-piece", 1, _Piece, "a piece's", _MEND, DONE)
_log = logging.getLogger("av1part")

Progress = Callable[[int, int], None]
"""Called with the number of finished pieces, and the number of all pieces."""


def begin_piece(folder: Path) -> None:
    """Make the empty folder of a piece; what a run that was stopped left there is removed."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)
    folder.mkdir(parents=True)


def finish_piece(folder: Path, content: Content) -> None:
    """Mark a piece as done, with `content`, JSON values that describe its files."""
    files = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            os.fsync(
                file.fileno()
            )  # a power cut after this may not leave a piece that is done, but whose files are not
        files[path.name] = sha256_file(path)
    FORMAT.write({"files": files, "content": content}, folder)


def read_piece(folder: Path) -> Content:
    """Content of a piece that is done; ToolkitError where it is not, or one of its files was changed."""
    document = FORMAT.read(folder)
    names = {path.name for path in folder.iterdir()} - {DONE}
    check_files(folder, document["files"], names, "piece")
    return document["content"]


def is_done(folder: Path) -> bool:
    """Whether a piece is done and sound; a line says why one that was done has to be coded again."""
    if not (folder / DONE).exists():
        return False
    try:
        read_piece(folder)
    except ToolkitError as error:
        _log.warning("Warning: a piece that was kept is coded again. %s", error.message)
        return False
    return True


def check_cpus(pieces: Sequence[Piece]) -> None:
    """Raise ToolkitError where the CPU times of finished pieces are kept, and several models of CPU gave them."""
    if not any(view.timed for view in pieces[0].views):
        return
    models = sorted({cpu for piece in pieces if (cpu := FORMAT.read(piece.folder)["content"].get("cpu"))})
    if len(models) > 1:
        raise ToolkitError(
            f"{pieces[0].folder.parent}: the pieces were coded by several models of CPU ({', '.join(models)}), and CPU "
            "times of several cannot be compared. Remove the folder and code all by one, or use --scheduler with "
            "--mixed-cpus."
        )


def code_pieces(
    pieces: Sequence[Piece], code: Callable[[Piece], None], where: int | Cluster, progress: Progress | None
) -> None:
    """Code the pieces that are not done yet, in so many processes or on a cluster.

    Raises ToolkitError where a process dies, and as of `Cluster.each`; what other pieces have kept stays.
    """
    # A lower cq takes longer. With short pieces last, all processes end at about the same time.
    todo = sorted((piece for piece in pieces if not is_done(piece.folder)), key=lambda piece: piece.cq)
    report = progress or (lambda done, of: None)
    total = len(pieces)
    done = total - len(todo)
    report(done, total)
    if isinstance(where, Cluster):
        arrived = count(done + 1)

        def finished(piece: Piece) -> None:
            read_piece(piece.folder)  # it came over a network
            report(next(arrived), total)

        timed = any(view.timed for view in pieces[0].views)
        code_on_cluster(where, todo, code, timed=timed, finished=finished)
        return
    jobs = where
    if jobs == 1 or len(todo) < 2:
        for number, piece in enumerate(todo, done + 1):
            code(piece)
            report(number, total)
        return
    with worker_pool(min(jobs, len(todo))) as pool:
        futures = [pool.submit(code, piece) for piece in todo]
        try:
            for number, future in enumerate(as_completed(futures), done + 1):
                future.result()
                report(number, total)
        except BrokenProcessPool:
            raise ToolkitError(
                "A labelling process died (out of memory?). Run the same command again: what is done is kept; "
                "--jobs 1 needs the least memory."
            ) from None
