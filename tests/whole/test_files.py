import errno
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.commands import cli
from support.pictures import CHELSEA
from support.places import ROOT

from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import (
    atomic_file,
    atomic_folder,
    atomic_write_json,
    canonical_json,
    check_free,
    is_sealed,
    named,
    one_at_a_time,
    one_writer,
    open_file,
    read_bytes,
    read_json,
    read_text,
    seal,
    sha256_file,
)
from toolkit.sample.attribution import FOLDER as SAMPLE

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


class Killed(BaseException):
    pass


def write_half(path: Path) -> None:
    path.write_text("half")
    raise Killed


@given(st.dictionaries(st.text(max_size=5).filter(lambda k: k != "sha256"), JSON, max_size=4))
def test_a_sealed_document_survives_a_file(document: dict[str, object]) -> None:
    again = json.loads(json.dumps(seal(document), indent=1))
    assert is_sealed(again)
    again["added"] = 1
    assert not is_sealed(again)


def test_whole_number_keys_seal_as_they_read() -> None:
    assert is_sealed(json.loads(json.dumps(seal({"a": {9: 1, 10: 2}}))))


@pytest.mark.parametrize("text", ['{"a": NaN, "sha256": "0"}', '{"a": "\\ud800", "sha256": "0"}'])
def test_what_cannot_be_sealed_is_not_sealed(text: str) -> None:
    assert not is_sealed(json.loads(text))


def test_nan_is_no_canonical_json() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"a": math.nan})


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 200_000])
def test_unreadable_json(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(ToolkitError, match="not readable as JSON"):
        read_json(tmp_path / "x.json")


def test_missing_json(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="no such file"):
        read_json(tmp_path / "x.json")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    atomic_write_json(target, {"old": 1})
    digest = sha256_file(target)
    with pytest.raises(Killed), atomic_file(target) as temporary:
        write_half(temporary)
    assert sha256_file(target) == digest
    assert [f.name for f in tmp_path.iterdir()] == ["a.json"]
    atomic_write_json(target, {"new": 1})
    assert read_json(target) == {"new": 1}


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(ToolkitError, match="could not be written"):
        atomic_write_json(tmp_path / "f" / "x.json", {})
    with pytest.raises(ToolkitError, match="could not be written"), atomic_folder(tmp_path / "f" / "x"):
        pass


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "set"
    with pytest.raises(Killed), atomic_folder(target) as folder:
        write_half(folder / "manifest.json")
    assert not list(tmp_path.iterdir())
    with atomic_folder(target) as folder:
        (folder / "manifest.json").write_text("1")
        assert not target.exists()
    with pytest.raises(ToolkitError, match="exists already"), atomic_folder(target):
        pass
    with pytest.raises(RuntimeError), atomic_folder(target, overwrite=True) as folder:
        raise RuntimeError
    assert (target / "manifest.json").read_text() == "1"
    with atomic_folder(target, overwrite=True) as folder:
        (folder / "manifest.json").write_text("2")
    assert (target / "manifest.json").read_text() == "2"
    assert [f.name for f in tmp_path.iterdir()] == ["set"]


def test_overwrite_spares_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "letter.txt").write_text("dear")
    with pytest.raises(ToolkitError, match="not overwritten"), atomic_folder(home, overwrite=True):
        pass
    assert (home / "letter.txt").read_text() == "dear"


def test_a_full_disk_names_the_output_and_no_hidden_name(tmp_path: Path) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with (
        pytest.raises(ToolkitError) as caught,
        atomic_folder(tmp_path / "out") as folder,
        atomic_file(folder / "model.onnx"),
    ):
        full()
    assert caught.value.message.startswith(f"{tmp_path}/out/model.onnx: the disk is full.")
    with pytest.raises(ToolkitError) as caught, named(tmp_path / "out", tmp_path / ".out.work"):
        full()
    assert caught.value.message.startswith(f"{tmp_path}/out: the disk is full.")
    for name in ("a piece.luma", "a: piece.luma"):
        with (
            pytest.raises(ToolkitError) as caught,
            named(tmp_path / "out", tmp_path / ".out.work", holds_parts=False),
            atomic_file(tmp_path / ".out.work" / name),
        ):
            full()
        assert caught.value.message.startswith(f"{tmp_path}/out: the disk is full.")
    with pytest.raises(ToolkitError) as caught, named(tmp_path / "out", tmp_path / ".out.work"):
        raise OSError("538 requested and 42 written")  # as NumPy says it
    assert caught.value.message.startswith(f"{tmp_path}/out: the disk is full.")


LEFT = """
import os, signal, sys
from pathlib import Path
from threading import Thread
from toolkit.files import atomic_file, atomic_folder
end = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", LEFT + code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    killed(f"with atomic_file(Path({str(tmp_path / 'a.json')!r})) as t: t.write_text('half'); end()")
    killed(f"with atomic_folder(Path({str(tmp_path / 'set')!r})) as t: (t / 'half').write_text(''); end()")
    lives = tmp_path / next(tmp_path.glob(".a.json.*")).name.replace("-", "+")
    lives.touch()  # a name that is none of ours
    with atomic_file(tmp_path / "a.json") as own, atomic_folder(tmp_path / "set") as folder:
        own.write_text("1")
        (folder / "manifest.json").write_text("1")
        with atomic_file(tmp_path / "a.json") as other:  # the temporary of a process that lives stays
            other.write_text("2")
        assert own.exists()
    assert sorted(f.name for f in tmp_path.iterdir()) == sorted(["a.json", "set", lives.name])


@pytest.mark.parametrize("long", [False, True])
def test_a_folder_set_aside_by_a_killed_run_is_put_back(
    tmp_path: Path, long: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / ("s" * 200 if long else "set")
    path.mkdir()
    (path / "manifest.json").write_text("old")
    second = "Path.replace = lambda self, to, real=Path.replace: real(self, to) and end()\n"
    killed(f"{second}with atomic_folder(Path({str(path)!r}), overwrite=True) as t: (t / 'manifest.json').touch()")
    assert not path.exists()
    with pytest.raises(ToolkitError, match="exists already"):
        check_free(path, overwrite=False)
    assert (path / "manifest.json").read_text() == "old"
    assert [f.name for f in tmp_path.iterdir()] == [path.name]
    assert f"{path}: put back" in caplog.text


def test_a_reader_finds_a_folder_that_was_set_aside(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "set")
    second = "Path.replace = lambda self, to, real=Path.replace: real(self, to) and end()\n"
    killed(f"{second}with atomic_folder(Path({str(tmp_path / 'set')!r}), overwrite=True): pass")
    assert BlockSet.load(tmp_path / "set").sources


def test_one_process_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "work" / "lock"
    script = f"from toolkit.files import one_at_a_time\nwith one_at_a_time(Path({str(lock)!r}), 'taken'): end()"
    with one_at_a_time(lock, "taken"):
        other = subprocess.run([sys.executable, "-c", LEFT + script], cwd=ROOT, capture_output=True, text=True)
        assert "ToolkitError: taken" in other.stderr
    assert not lock.parent.exists()
    killed(script)
    with one_at_a_time(lock, "taken"):  # a killed process holds nothing
        shutil.rmtree(lock.parent)
    assert not lock.parent.exists()


def test_who_waits_for_a_lock_gets_it_when_it_is_free(tmp_path: Path) -> None:
    lock, order = tmp_path / "lock", list[str]()

    def second() -> None:
        with one_at_a_time(lock, None):
            order.append("second")

    waiting = Thread(target=second)
    with one_at_a_time(lock, None):
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join(30)
    assert order == ["first", "second"]
    assert not lock.exists()


def test_one_writer_of_a_file_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for output in (tmp_path / "empty" / "out.ivf", tmp_path / "new" / "out.ivf"):
        with one_writer(output):
            with pytest.raises(ToolkitError, match=r"out\.ivf: another process is writing there"), one_writer(output):
                pass
            with one_writer(output.with_name("other.ivf")):
                pass
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_lock_deleted_after_it_was_opened_locks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def late(path: Path, *more: int) -> int:
        opened = real(path, *more)
        path.unlink()  # as the process that had it does at its end
        return opened

    monkeypatch.setattr(os, "open", late)
    with pytest.raises(ToolkitError, match="taken"), one_at_a_time(tmp_path / "lock", "taken"):
        pass


@pytest.mark.parametrize("read", [open_file, read_bytes, read_text, read_json, sha256_file])
def test_no_reader_waits_for_a_pipe_or_reads_a_device_for_ever(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/full")
    for file in (tmp_path / "pipe", tmp_path / "endless", tmp_path):
        with pytest.raises(ToolkitError, match="expected an ordinary file"):
            read(file)


def test_a_file_is_read_up_to_its_limit_and_without_its_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"\xef\xbb\xbfabc")
    assert read_bytes(file, 6) == file.read_bytes()
    assert read_text(file) == "abc"
    with pytest.raises(ToolkitError, match="larger than 5 bytes"):
        read_bytes(file, 5)


@pytest.mark.parametrize(
    "words",
    [
        ("label", CHELSEA, "--split", "PIPE", "-o", "out"),
        ("label", CHELSEA, "--sources-tsv", "PIPE", "-o", "out"),
        ("label", "PIPE", "-o", "out"),
        ("encode", "PIPE", "-o", "out.ivf"),
        ("parity-foreign", "PIPE", "c.pt", "data"),
    ],
)
def test_a_command_that_is_given_a_pipe_says_so_at_once(tmp_path: Path, words: tuple[object, ...]) -> None:
    os.mkfifo(tmp_path / "pipe")
    places = {"PIPE": tmp_path / "pipe", "out": tmp_path / "out"}
    found = cli(*(str(places.get(str(word), word)) for word in words))
    assert found.exit_code == 1
    assert re.search("pipe.*(pipe or device|ordinary file)", found.output), found.output
