"""Building libaom: only the pinned source, nothing built twice, and a mend named for whatever is missing."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.commands import cli, fails

from integration.codec import libaom_build, libaom_source
from integration.codec.libaom_build import Libraries
from integration.codec.libaom_versions import CHOICE, Patches, PinnedFile, version, versions
from integration.codec.system_libaom import system_libaom
from toolkit.cli.main import main
from toolkit.errors import ToolkitError
from toolkit.files import sha256_file


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
    libaom_build.current_file(cache, version(), False).write_text(json.dumps({"libaom": name}))
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
    with (edited / "search_table.h").open("a") as header:
        header.write("/* edited */\n")
    with pytest.raises(ToolkitError, match=r"not the list of toolkit/search/table.toml. Make it again with `python -m"):
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
        libaom_source.fetch(version().archive, tmp_path)


def test_what_apt_brings_is_checked_by_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def wrong_archive(temporary: Path, uri: str, suite: str) -> str:
        asked.append(suite)
        (temporary / "download").mkdir()
        (temporary / "download" / "aom.tar.xz").write_bytes(b"another")
        return "E: 404 not found"

    monkeypatch.setattr(libaom_source, "_repositories", lambda: ["somewhere"])
    monkeypatch.setattr(libaom_source, "_apt_source", wrong_archive)
    monkeypatch.setattr(shutil, "which", lambda tool: tool)
    wanted = PinnedFile("aom.tar.xz", "0" * 64, ("forky", "sid"))
    with pytest.raises(ToolkitError, match=r"404 not found.*sha256 0{64}.*Debian forky or sid's source package aom"):
        libaom_source.fetch(wanted, tmp_path)
    assert asked == ["forky", "sid"]
    assert list(tmp_path.iterdir()) == []
    right = PinnedFile("aom.tar.xz", hashlib.sha256(b"another").hexdigest(), ("forky", "sid"))
    assert libaom_source.fetch(right, tmp_path).read_bytes() == b"another"
    assert asked == ["forky", "sid", "forky"], "the first suite that has it is enough"


def test_another_archive_is_refused(tmp_path: Path, empty_cache: Path) -> None:
    archive = tmp_path / version().archive.file
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("aom/CMakeLists.txt"), io.BytesIO())
    with pytest.raises(ToolkitError, match=f"expected {version().archive.sha256}"):
        libaom_build.build(archive)
    with pytest.raises(ToolkitError, match="not libaom's source"):
        libaom_build.build(tmp_path)
    assert not list(empty_cache.glob("libaom-*"))


def test_a_folder_is_known_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "av1").mkdir()
    (tmp_path / "CMakeLists.txt").write_text("project()")
    first = libaom_source.identify(version(), tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref")
    assert libaom_source.identify(version(), tmp_path) == first
    (tmp_path / "av1" / "av1.c").write_text("int x;")
    assert libaom_source.identify(version(), tmp_path) != first


def test_info_tells_version_flags_and_path(libaom: Libraries) -> None:
    found = json.loads(CliRunner().invoke(main, ["encoder", "info", "--json"]).stdout)
    assert found["path"] == str(libaom.hook)
    assert found["libaom"] == found["version"] == libaom.version == version().name
    assert version().name in found["built"]
    assert found["in_place_of"] == system_libaom()
    assert "-DCONFIG_INSPECTION=1" in found["cmake_flags"]
    assert found["source_sha256"] == version().archive.sha256
    assert found["patches"] == [*(version().patches.files if version().patches else ())]
    shown = CliRunner().invoke(main, ["encoder", "info"])
    assert shown.exit_code == 0
    assert f"version: {version().name}\n" in shown.output


def test_build_prints_the_path_and_nothing_else_on_stdout(libaom: Libraries) -> None:
    done = CliRunner().invoke(main, ["encoder", "build"])
    assert done.exit_code == 0
    assert Path(done.stdout.strip()).name == "libav1part_hook.so"


def archive_of(folder: Path, file: str, files: dict[str, str]) -> PinnedFile:
    """A pinned archive of these texts, by path, in `folder`."""
    mode = "w:xz" if file.endswith("xz") else "w:gz"
    with tarfile.open(folder / file, mode) as made:  # type: ignore[call-overload]
        for path, text in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            made.addfile(entry, io.BytesIO(text.encode()))
    return PinnedFile(file, sha256_file(folder / file), ("forky",))


PATCH = "--- a/av1/av1.c\n+++ b/av1/av1.c\n@@ -1 +1 @@\n-int x;\n+int {};\n"
TREE = {"CMakeLists.txt": "project()\n", "av1/av1.c": "int x;\n", "third_party/CMakeLists.txt": "project()\n"}


@pytest.mark.filterwarnings("ignore:Python 3.14 will:DeprecationWarning")  # which 3.12 and 3.13 say without a filter
@pytest.mark.parametrize("filters", [True, False])
@pytest.mark.parametrize("top", ["", "aom-3.12.1/"])
def test_an_archive_is_unpacked_with_and_without_a_top_folder_and_by_an_older_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filters: bool, top: str
) -> None:
    """Python before 3.11.4, as Debian 12 has it, refuses the argument `filter`."""
    real = shutil.unpack_archive
    if not filters:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
        monkeypatch.setattr(shutil, "unpack_archive", lambda file, folder: real(file, folder))
    archive = archive_of(tmp_path, "aom.tar.xz", {f"{top}{path}": text for path, text in TREE.items()})
    row = replace(version(), archive=archive, patches=None)
    tree = libaom_source.unpack(row, tmp_path / archive.file, tmp_path, tmp_path / "source")
    assert tree == tmp_path / "source" / top
    assert (tree / "av1" / "av1.c").read_text() == "int x;\n"


def test_security_patches_are_applied_in_order_or_nothing_is_built(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, "aom.tar.gz", TREE)
    names = ("1.patch", "2.patch")
    texts = {"debian/patches/1.patch": PATCH.format("y")}
    texts["debian/patches/2.patch"] = PATCH.format("z").replace("-int x", "-int y")
    debian = archive_of(tmp_path, "debian.tar.xz", texts)

    def unpacked(patches: Patches, folder: str) -> str:
        row = replace(version(), archive=archive, patches=patches)
        tree = libaom_source.unpack(row, tmp_path / archive.file, tmp_path / "cache", tmp_path / folder)
        return (tree / "av1" / "av1.c").read_text()

    assert unpacked(Patches(debian, names), "right") == "int z;\n"
    with pytest.raises(ToolkitError, match=r"2\.patch does not apply"):
        unpacked(Patches(debian, names[::-1]), "wrong")


def test_the_table_names_versions_hashes_and_calls() -> None:
    assert next(iter(versions())) == "3.14.1"
    for row in versions().values():
        assert row.archive.file == f"aom_{row.name}.orig.tar.{row.archive.file.rpartition('.')[2]}"
        assert len(set(row.wrapped["search"])) == len(row.wrapped["search"])
        assert set().union(*libaom_build.WRAPPED.values()) == set(row.wrapped)
        for pinned in (row.archive, *([row.patches.archive] if row.patches else [])):
            assert len(bytes.fromhex(pinned.sha256)) == 32
    patches = versions()["3.12.1"].patches
    assert patches is not None
    for number in range(56208, 56212):
        assert any(str(number) in name for name in patches.files), number


def test_every_wrapped_call_is_in_the_library(libaom: Libraries) -> None:
    """The linker passes over a call that no longer exists without a word."""
    archive = libaom.exports.parent / "libaom.a"
    listed = subprocess.run(["nm", archive], capture_output=True, text=True, check=False).stdout
    called = {line.split()[-1] for line in listed.splitlines() if " U " in line}
    for use, calls in version().wrapped.items():
        assert set(calls) <= called, use


def test_another_version_is_chosen_by_option_or_variable_and_the_table_is_named_where_it_lacks_it(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(cli("encoder", "info", "--libaom", "3.12.1"), "libaom 3.12.1 is not built", "encoder build --libaom 3.12.1`")
    fails(cli("encoder", "build", "--libaom", "3.0.0"), "3.0.0: no such version of libaom here. These are: 3.14.1, 3.1")
    monkeypatch.setenv(CHOICE, "3.12.1")
    assert version().name == "3.12.1"
    assert version("3.14.1").name == "3.14.1"
    fails(cli("encoder", "info"), "libaom 3.12.1 is not built", "encoder build --libaom 3.12.1`")
    monkeypatch.setenv(CHOICE, "3.0")
    fails(cli("encoder", "info"), "AV1PART_LIBAOM=3.0: no such version")


def test_the_archive_of_another_version_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archive_of(tmp_path, "aom.tar.gz", TREE)
    rows = {name: replace(row, archive=archive) if name == "3.12.1" else row for name, row in versions().items()}
    monkeypatch.setattr(libaom_source, "versions", lambda: rows)
    with pytest.raises(ToolkitError, match=r"that of libaom 3\.12\.1: add --libaom 3\.12\.1"):
        libaom_source.identify(rows["3.14.1"], tmp_path / archive.file)


def test_versions_lie_side_by_side(libaom: Libraries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache in which two versions are built: of the same source here, told apart by the names of their builds."""
    default, other, *_ = versions()
    cache, own = tmp_path / "cache", libaom.exports.parent
    cache.mkdir()
    monkeypatch.setenv("AV1PART_CACHE", str(cache))
    monkeypatch.setattr(libaom_build, "_link", lambda cache, libaom, wanted, sanitize: (libaom, wanted.name))
    assert libaom_build.built() == ()
    for name in (default, other):
        (cache / f"libaom-{name}").symlink_to(own)
        libaom_build.current_file(cache, version(name), False).write_text(json.dumps({"libaom": f"libaom-{name}"}))
        monkeypatch.setenv(CHOICE, name)
        assert libaom_build.libraries(sanitize=False) == (f"libaom-{name}", name)
    assert libaom_build.built() == (default, other)
    monkeypatch.delenv(CHOICE)
    assert libaom_build.libraries(sanitize=False) == (f"libaom-{default}", default)
