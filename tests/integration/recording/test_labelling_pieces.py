"""Pieces that an earlier run kept: taken over where they are sound, coded again where they are not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from support.commands import cli, done, fails
from support.pictures import CHELSEA
from support.sealed import write_json

from integration.recording import label as labelling
from integration.recording import record as recording
from integration.recording import recorder
from integration.recording.pieces import DONE, begin_piece, finish_piece, is_done, read_piece
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import seal
from toolkit.pruners.record import SearchSet


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """A photograph of 64x64 for each split."""
    (tmp_path / "pictures").mkdir()
    with Image.open(CHELSEA) as cat:
        for number in range(3):
            cat.crop((64 * number, 100, 64 * number + 64, 164)).save(tmp_path / "pictures" / f"part{number}.png")
    return sorted((tmp_path / "pictures").iterdir())


def shortened(piece: Path) -> None:
    file = max((path for path in piece.iterdir() if path.name != DONE), key=lambda path: path.stat().st_size)
    file.write_bytes(file.read_bytes()[:-1])


def emptied(piece: Path) -> None:
    for path in piece.iterdir():
        if path.name != DONE:
            path.write_bytes(b"")


def without_a_file(piece: Path) -> None:
    next(path for path in piece.iterdir() if path.name != DONE).unlink()


def with_a_file_more(piece: Path) -> None:
    (piece / "another.npy").touch()


def with_an_empty_seal(piece: Path) -> None:
    (piece / DONE).write_bytes(b"")


def edited(piece: Path) -> None:
    document = json.loads((piece / DONE).read_text())
    write_json(piece / DONE, document | {"content": {}, "files": {}})


def of_another_version(piece: Path) -> None:
    write_json(piece / DONE, seal(json.loads((piece / DONE).read_text()) | {"format_version": 0}))


FAULTS = (shortened, emptied, without_a_file, with_a_file_more, with_an_empty_seal, edited, of_another_version)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_piece_is_done_while_its_files_are_as_they_were_written(
    tmp_path: Path, fault: Callable[[Path], None]
) -> None:
    piece = tmp_path / "piece"
    assert not is_done(piece)
    begin_piece(piece)
    (piece / "a").write_bytes(b"some rows")
    (piece / "b").write_bytes(b"more")
    assert not is_done(piece), "stopped before the end"
    finish_piece(piece, {"entries": [{"frame": 1}]})
    assert is_done(piece)
    assert read_piece(piece) == {"entries": [{"frame": 1}]}
    fault(piece)
    assert not is_done(piece)
    with pytest.raises(ToolkitError, match=r"piece"):
        read_piece(piece)
    begin_piece(piece)
    assert list(piece.iterdir()) == []


def test_whatever_stands_in_the_place_of_a_piece_makes_room_for_it(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        begin_piece(tmp_path / name)
        assert list((tmp_path / name).iterdir()) == []
    assert (tmp_path / "kept" / "file").exists(), "what a link leads to is not touched"


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize(("command", "module"), [("record", recording), ("label", labelling)])
def test_a_run_that_goes_on_names_and_codes_again_the_pieces_that_are_not_whole(
    tmp_path: Path,
    pictures: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    command: str,
    module: object,
) -> None:
    words = (
        command,
        *pictures,
        "-o",
        tmp_path / "set",
        "--cq",
        "50",
        "--cpu-used",
        "4",
        "--jobs",
        "1",
        "--size",
        "source",
    )
    writes = "write_search_set" if command == "record" else "write_blockset"

    def stops(*given: object, **more: object) -> None:
        raise ToolkitError("stopped here")

    with monkeypatch.context() as patched:
        patched.setattr(module, writes, stops)
        fails(cli(*words), "stopped here")
    pieces = sorted(path for path in (tmp_path / ".set.work").iterdir() if path.is_dir())
    assert len(pieces) == 3
    shortened(pieces[0])
    with_an_empty_seal(pieces[2])
    coded, real = [], recorder.code
    monkeypatch.setattr(recorder, "code", lambda piece: (coded.append(piece.folder), real(piece)))
    done(*words)
    assert coded == [pieces[0], pieces[2]]
    for piece in coded:
        assert f"{piece}" in caplog.text
    opened = (SearchSet if command == "record" else BlockSet).load(tmp_path / "set")  # type: ignore[attr-defined]
    assert len(opened.manifest["sources"]) == 3
    assert not (tmp_path / ".set.work").exists()


@pytest.mark.usefixtures("libaom")
@pytest.mark.usefixtures("libaom")
def test_a_run_that_was_stopped_between_its_two_outputs_writes_the_second(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, other = tmp_path / "set", tmp_path / "search"
    words = ("label", *pictures, "-o", out, "--record", other, "--cq", "50", "--cpu-used", "4", "--jobs", 1)

    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recording, "write_search_set", stop)
        assert cli(*words).exit_code != 0
    written = (out / "manifest.json").stat()
    assert not other.exists()
    coded: list[object] = []
    monkeypatch.setattr(recorder, "code", coded.append)
    done(*words)
    assert not coded
    assert (out / "manifest.json").stat() == written
    assert len(BlockSet.load(out).sources) == len(SearchSet.load(other).manifest["sources"]) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pictures", "search", "set"]
    fails(cli(*words), "exists already")


def test_one_photograph_in_two_kinds_of_file_and_two_splits_is_not_recorded(
    tmp_path: Path, pictures: list[Path]
) -> None:
    with Image.open(pictures[0]) as picture:
        picture.save(tmp_path / "twin.bmp")
    (tmp_path / "splits.tsv").write_text("part0\ttrain\ntwin\ttest\n")
    words = ("record", pictures[0], tmp_path / "twin.bmp", "-o", tmp_path / "set", "--cq", "50", "--cpu-used", "4")
    words += ("--jobs", "1", "--size", "source")
    said = "part0 (train) and twin (test) are the same source in two splits (the same luma)"
    fails(cli(*words, "--split", tmp_path / "splits.tsv"), said)
    assert not (tmp_path / "set").exists()
    done(*words, "--split", "train")
    first, second = SearchSet.load(tmp_path / "set").manifest["sources"]
    assert first["luma_sha256"] == second["luma_sha256"]
