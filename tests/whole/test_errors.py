"""A path that the system refuses is one line that names it, whichever command met it."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from click.testing import CliRunner
from support.commands import apart
from support.pictures import CHELSEA

from integration.codec import libaom_build
from integration.codec.libaom_build import Libraries
from integration.codec.libaom_versions import version
from integration.media.raw import parse_size
from integration.media.video import open_clip
from toolkit.cli.main import main
from toolkit.errors import ToolkitError, plain_system_errors
from toolkit.files import atomic_folder, atomic_write_json
from toolkit.sample.attribution import FOLDER as SAMPLE

Said = Callable[..., str]
LONG = "x" * 300


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Said:
    """What a command says that ends with exit code 1, in a folder that it leaves as it was."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == 1, result.output
        assert sorted(tmp_path.rglob("*")) == before
        assert len(result.output) < 1000
        return result.output

    return run


@pytest.mark.parametrize(
    "words",
    [
        ["data", "info", LONG],
        ["select", LONG],
        ["evaluate", LONG, "."],
        ["bundle", "verify", LONG],
        ["pipeline", "build", LONG, "-o", "y"],
        ["encode", f"{LONG}.y4m", "-o", "y.ivf"],
        ["label", f"{LONG}.y4m", "-o", "y"],
        ["import-checkpoint", LONG, "--stage", "2", "--input-scale", "1", "--data", str(SAMPLE), "-o", "y"],
    ],
)
def test_an_over_long_name(words: list[str], said: Said) -> None:
    assert "too long for the system" in said(*words)


def test_an_output_below_a_file(said: Said, blockset_8: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    random = ["--backbone", "small", "--init", "random", "--device", "cpu", "--limit-train", 64, "--limit-val", 64]
    assert "file stands where a folder" in said("train", blockset_8, "-o", "file", *random)
    assert "could not be written (Not a directory)" in said("train", blockset_8, "-o", "file/run", *random)


def test_each_refusal_is_advised_on() -> None:
    for number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ELOOP, errno.EISDIR):
        with pytest.raises(ToolkitError, match=r"/some/path: .{20,}\."), plain_system_errors():
            raise OSError(number, os.strerror(number), "/some/path")
    with pytest.raises(ToolkitError, match="Too many open files"), plain_system_errors():
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    with pytest.raises(ToolkitError, match=r"bad.udcff.y4m.*: not valid as UTF-8. Rename"), plain_system_errors():
        "bad\udcff.y4m".encode()


@pytest.mark.parametrize("error", [BrokenPipeError(errno.EPIPE, "pipe"), OSError("a reader's own"), KeyError("bug")])
def test_what_is_no_refusal_passes(error: Exception) -> None:
    with pytest.raises(type(error)), plain_system_errors():
        raise error


def test_a_read_only_file_system_names_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *rest: object, **more: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ToolkitError, match=r"set: could not be written \(Read-only file system\)"):
        atomic_folder(tmp_path / "set").__enter__()
    monkeypatch.setattr(Path, "write_bytes", refuse)
    monkeypatch.setattr(Path, "mkdir", lambda *rest, **more: None)
    with pytest.raises(ToolkitError, match=r"a.json: could not be written \(Read-only file system\)"):
        atomic_write_json(tmp_path / "a.json", {})


ROOT = os.geteuid() == 0
MORTAL = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if ROOT else []
"""Before a command: takes from root the right to pass over permissions."""


@pytest.mark.usefixtures("libaom")
@pytest.mark.skipif(ROOT and shutil.which("setpriv") is None, reason="root, and no setpriv: permissions do not bind")
def test_permissions(blockset_8: Path, trained: Path, tmp_path: Path) -> None:
    closed, shut, full = tmp_path / "closed", tmp_path / "shut.y4m", tmp_path / "full"
    shutil.copytree(blockset_8, closed / "data")
    shutil.copytree(trained, closed / "run")
    shutil.copy(CHELSEA, tmp_path / "a.png")
    shut.write_bytes(b"YUV4MPEG2 W64 H64\nFRAME\n")
    full.mkdir()
    modes = {closed: 0o600, shut: 0o000, full: 0o500}
    train = ["train", blockset_8, "--backbone", "small", "--init", "random", "--device", "cpu", "--limit-train", 64]
    try:
        for path, mode in modes.items():
            path.chmod(mode)
        denied = [
            ["data", "info", closed / "data"],
            ["select", closed / "run"],
            ["bundle", "verify", closed / "data"],
            ["encode", closed / "x.y4m", "-o", tmp_path / "y.ivf"],
        ]
        unwritable = [["label", tmp_path / "a.png", "-o", full / "y"], [*train, "-o", full / "run"]]
        for words, result in apart([*denied, *unwritable], prefix=MORTAL):
            assert (result.returncode, "Traceback" in result.stderr) == (1, False), result.stderr
            expected = "permission denied" if words in denied else "could not be written (Permission denied)"
            assert expected in result.stderr
    finally:
        for path in modes:
            path.chmod(0o700)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "closed", "full", "shut.y4m"]
    assert not list(full.iterdir())


def test_a_read_only_cache_that_is_complete_works(
    libaom: Libraries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    for part in (libaom.hook.parent, libaom.hook.parent.parent / libaom.info["libaom"]):
        shutil.copytree(part, cache / part.name)
    sanitized = "-DSANITIZE" in " ".join(libaom.info["cmake_flags"])
    atomic_write_json(libaom_build.current_file(cache, version(), sanitized), {"libaom": libaom.info["libaom"]})
    monkeypatch.setenv("AV1PART_CACHE", str(cache))

    def refuse(*rest: object, **more: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(cache))

    monkeypatch.setattr(libaom_build, "one_at_a_time", refuse)
    monkeypatch.setattr(libaom_build, "atomic_write_json", refuse)
    assert libaom_build.libraries(sanitize=sanitized).hook == cache / libaom.hook.parent.name / libaom.hook.name
    assert libaom_build.build(sanitize=sanitized).hook.parent.parent == cache


@pytest.mark.parametrize(
    "name", ["a:b.png", "x" * 201 + ".png", "\u00e9" * 121 + ".png", b"bad\xff.png".decode(errors="surrogateescape")]
)
def test_a_name_that_label_cannot_keep_is_refused_before_anything_is_coded(
    name: str, said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(CHELSEA, tmp_path / name)
    monkeypatch.setattr("integration.recording.recorder.code", None)
    assert "Source name" in said("label", name, "-o", "data")


def test_names_that_ffmpeg_would_misread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clip = b"YUV4MPEG2 W64 H64 F30:1\n" + 2 * (b"FRAME\n" + bytes(64 * 96))
    Path("take:2.y4m").write_bytes(clip)
    assert len(list(open_clip(Path("take:2.y4m")).frames())) == 2
    name = b"bad\xff.y4m".decode(errors="surrogateescape")
    Path(name).write_bytes(clip)
    assert len(list(open_clip(Path(name)).frames())) == 2


def test_a_size_in_other_digits() -> None:
    with pytest.raises(ToolkitError, match="expected WIDTHxHEIGHT"):
        parse_size("\u00b2x\u00b2")


def test_a_codec_that_ffmpeg_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for packet in [*stream.encode(av.VideoFrame(64, 64, "yuv420p")), *stream.encode()]:
            container.mux(packet)
    data = path.read_bytes()
    assert b"V_FFV1" in data
    path.write_bytes(data.replace(b"V_FFV1", b"V_NONE"))
    with pytest.raises(ToolkitError, match=r"clip.mkv: its video is in a codec that FFmpeg cannot decode"):
        open_clip(path)
