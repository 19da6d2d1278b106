"""Pieces coded on the workers of a Dask cluster, which read the sources at the client's own paths.

A worker codes into a folder of its own, on its own disk. Where it sees the client's folder, it puts the piece there
whole; elsewhere the piece comes back as bytes.
"""

import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from integration.codec.identity import encoder_identity
from integration.recording.view import Piece
from toolkit.cluster import Cluster, check_same_file

MARK = "client"
"""File in the client's folder by which a worker knows that it sees the same folder."""
Code = Callable[[Piece], None]


@dataclass(frozen=True)
class Order:
    """A piece to be coded by `code`; its folder has the client's path, and `token` is in the client's MARK."""

    piece: Piece
    code: Code
    token: str


def code_on_cluster(
    cluster: Cluster, pieces: Sequence[Piece], code: Code, *, timed: bool, finished: Callable[[Piece], None]
) -> None:
    """Code the pieces on the cluster's workers; `finished` is called with each whose files have come.

    Raises ToolkitError as of `Cluster.each`.
    """
    if not pieces:
        return
    work = pieces[0].folder.absolute().parent
    work.mkdir(exist_ok=True)
    token = secrets.token_hex(16)
    (work / MARK).write_text(token)
    for piece in pieces:  # what an earlier run left of it
        shutil.rmtree(piece.folder, ignore_errors=True)
    orders = [Order(_absolute(piece), code, token) for piece in pieces]
    with closing(cluster.each(coded, orders, encoder_identity, timed=timed)) as replies:
        for index, files in replies:
            if files is not None:
                _place(files, pieces[index].folder)
            finished(pieces[index])


def _absolute(piece: Piece) -> Piece:
    file = replace(piece.file, path=piece.file.path.absolute())
    return replace(piece, file=file, folder=piece.folder.absolute())


def coded(order: Order) -> dict[str, bytes] | None:
    """Code a piece on this worker: its files, or None where they lie in the client's folder.

    Raises OSError where there is no room, ToolkitError where the source is not that of the client.
    """
    from distributed import get_worker

    piece = order.piece
    check_same_file(piece.file.path, piece.file.sha256)
    with tempfile.TemporaryDirectory(dir=get_worker().local_directory) as own:
        folder = Path(own) / "piece"
        order.code(replace(piece, folder=folder))
        if _sees(piece.folder.parent, order.token):
            _hand_over(folder, piece.folder)
            return None
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def _sees(work: Path, token: str) -> bool:
    """Whether the client's folder is there on this machine."""
    try:
        return (work / MARK).read_text() == token
    except (OSError, UnicodeDecodeError):
        return False


def _place(files: Mapping[str, bytes], target: Path) -> None:
    """Put the files of a piece at its place whole."""
    with tempfile.TemporaryDirectory(dir=target.parent) as beside:
        folder = Path(beside) / "piece"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        _rename(folder, target)


def _hand_over(folder: Path, target: Path) -> None:
    """Copy a finished piece to its place whole; another worker may have been taken for dead, and do the same."""
    with tempfile.TemporaryDirectory(dir=target.parent) as beside:
        _rename(Path(shutil.copytree(folder, Path(beside) / "piece")), target)


def _rename(folder: Path, target: Path) -> None:
    try:
        folder.replace(target)
    except OSError:
        if not target.is_dir():  # else another worker, which was taken for dead, was the first
            raise
