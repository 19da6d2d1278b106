"""Building libaom: only the pinned source, nothing built twice, and a mend named for whatever is missing."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from integration.codec import libaom_build, libaom_source
from integration.codec.libaom_build import Libraries
from toolkit.cli.main import main
from toolkit.errors import ToolkitError


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "cache"
    monkeypatch.setenv("AV1PART_CACHE", str(cache))
    return cache


def without(monkeypatch: pytest.MonkeyPatch, *tools: str) -> None:
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool in tools else real(tool))


def test_a_second_build_compiles_nothing(libaom: Libraries, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "cc", "cmake", "ninja", "nasm")
    assert libaom_build.build(sanitize="-DSANITIZE" in " ".join(libaom.info["cmake_flags"])).hook == libaom.hook


def test_editing_the_hook_links_again_without_building_libaom(
    libaom: Libraries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    name = libaom.info["libaom"]
    (cache / name).symlink_to(libaom.hook.parent.parent / name)
    (cache / "current.json").write_text(json.dumps({"libaom": name}))
    monkeypatch.setenv("AV1PART_CACHE", str(cache))
    edited = tmp_path / "sources"
    shutil.copytree(libaom_build.SOURCES, edited)
    monkeypatch.setattr(libaom_build, "SOURCES", edited)
    first = libaom_build.libraries(sanitize=False)
    (edited / "hook.c").write_text((edited / "hook.c").read_text() + "\n/* edited */\n")
    second = libaom_build.libraries(sanitize=False)
    assert first.hook != second.hook
    assert second.hook.is_file()
    assert second.stock.is_file()
    (edited / "hook.c").write_text("this is no C\n")
    with pytest.raises(ToolkitError, match=r"`cc` failed[\s\S]*hook.c"):
        libaom_build.libraries(sanitize=False)
    assert sorted(p.name for p in cache.glob("hook-*") if p.is_dir()) == sorted(
        {first.hook.parent.name, second.hook.parent.name}
    ), "a failed build leaves nothing behind"


@pytest.mark.usefixtures("empty_cache")
def test_not_built_yet_says_how() -> None:
    done = CliRunner().invoke(main, ["encoder", "info"])
    assert done.exit_code == 1
    assert "av1part encoder build" in done.output


@pytest.mark.parametrize(
    ("tool", "package"), [("cc", "gcc"), ("c++", "g\\+\\+"), ("cmake", "cmake"), ("ninja", "ninja-build")]
)
@pytest.mark.usefixtures("empty_cache")
def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tool: str, package: str) -> None:
    without(monkeypatch, tool)
    with pytest.raises(ToolkitError, match=f"apt-get install {package}`"):
        libaom_build.build()
    with pytest.raises(ToolkitError, match=f"apt-get install {package}`"):
        libaom_build.libraries()


def test_without_apt_the_archive_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "apt-get")
    with pytest.raises(ToolkitError, match="--source FILE"):
        libaom_source.fetch_archive(tmp_path)


def test_what_apt_brings_is_checked_by_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong_archive(temporary: Path, uri: str) -> str:
        (temporary / "download").mkdir()
        (temporary / "download" / libaom_source.ARCHIVE).write_bytes(b"another")
        return "E: 404 not found"

    monkeypatch.setattr(libaom_source, "_repositories", lambda: ["somewhere"])
    monkeypatch.setattr(libaom_source, "_apt_source", wrong_archive)
    monkeypatch.setattr(shutil, "which", lambda tool: tool)
    with pytest.raises(ToolkitError, match="404 not found"):
        libaom_source.fetch_archive(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_archive_is_refused(tmp_path: Path, empty_cache: Path) -> None:
    archive = tmp_path / libaom_source.ARCHIVE
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("aom/CMakeLists.txt"), io.BytesIO())
    with pytest.raises(ToolkitError, match=f"expected {libaom_source.ARCHIVE_SHA256}"):
        libaom_build.build(archive)
    with pytest.raises(ToolkitError, match="not libaom's source"):
        libaom_build.build(tmp_path)
    assert not list(empty_cache.glob("libaom-*"))


def test_a_folder_is_known_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "av1").mkdir()
    (tmp_path / "CMakeLists.txt").write_text("project()")
    first = libaom_source.identify(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref")
    assert libaom_source.identify(tmp_path) == first
    (tmp_path / "av1" / "av1.c").write_text("int x;")
    assert libaom_source.identify(tmp_path) != first


def test_info_tells_version_flags_and_path(libaom: Libraries) -> None:
    found = json.loads(CliRunner().invoke(main, ["encoder", "info", "--json"]).stdout)
    assert found["path"] == str(libaom.hook)
    assert found["libaom"] == "3.12.1"
    assert "-DCONFIG_INSPECTION=1" in found["cmake_flags"]
    assert found["source_sha256"] == libaom_source.ARCHIVE_SHA256
    shown = CliRunner().invoke(main, ["encoder", "info"])
    assert shown.exit_code == 0
    assert "3.12.1" in shown.output


def test_build_prints_the_path_and_nothing_else_on_stdout(libaom: Libraries) -> None:
    done = CliRunner().invoke(main, ["encoder", "build"])
    assert done.exit_code == 0
    assert Path(done.stdout.strip()).name == "libav1part_hook.so"


def test_the_archive_is_unpacked_by_a_python_without_filters_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python before 3.11.4, as Debian 12 has it, refuses the argument."""
    archive, real = tmp_path / "archive.tar.gz", shutil.unpack_archive
    (tmp_path / "top").mkdir()
    with tarfile.open(archive, "w:gz") as made:
        made.add(tmp_path / "top", "aom-3.12.1")
    monkeypatch.setattr(libaom_source, "identify", lambda source: "")
    assert libaom_source.unpack(archive, tmp_path / "new").name == "aom-3.12.1"
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    monkeypatch.setattr(shutil, "unpack_archive", lambda file, folder, format: real(file, folder, format))
    assert libaom_source.unpack(archive, tmp_path / "old").name == "aom-3.12.1"
