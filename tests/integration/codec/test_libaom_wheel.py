"""The installed wheel of the encoder: when it is used, when a build is, and what is said where neither can be."""

import json
import shutil
from pathlib import Path

import pytest
from support.commands import cli, done, fails

from integration.codec import libaom_build, libaom_wheel
from integration.codec.libaom_build import Libraries, libraries
from integration.codec.libaom_versions import CHOICE, versions


@pytest.fixture
def wheel(libaom: Libraries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of an installed wheel, as `make wheels` fills it, where nothing was built."""
    folder = tmp_path / "site" / libaom_wheel.MODULE
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    for library in (libaom.hook, libaom.stock, libaom.aom):
        shutil.copy(library, folder)
    (folder / "build.json").write_text(json.dumps(libaom.info | {"wheel": "3.14.1.1"}))
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.setenv("AV1PART_CACHE", str(tmp_path / "cache"))
    return folder


def test_it_is_used_where_nothing_was_built_and_it_has_the_name_of_the_build(libaom: Libraries, wheel: Path) -> None:
    found = libraries(sanitize=False)
    assert found.hook.parent == found.stock.parent == found.aom.parent == wheel
    assert found.name == libaom.name == libaom.hook.parent.name
    assert found.version == libaom.version
    assert json.loads(done("encoder", "info", "--json").stdout)["origin"] == "wheel av1part-libaom 3.14.1.1"
    assert "Encoder: libaom 3.14.1, wheel av1part-libaom 3.14.1.1\n" in cli("doctor").stdout


def test_a_build_of_ones_own_is_used_in_its_place(
    libaom: Libraries, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AV1PART_CACHE", str(libaom.hook.parents[1]))
    assert libraries(sanitize=False) == libaom
    assert libaom.origin == "av1part encoder build"


def test_a_wheel_of_other_c_code_is_refused_by_the_names_of_the_files(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited = tmp_path / "sources"
    shutil.copytree(libaom_build.SOURCES, edited)
    (edited / "masks.c").write_text("int x;\n")
    (edited / "policy.c").unlink()
    monkeypatch.setattr(libaom_build, "SOURCES", edited)
    said = cli("encoder", "info")
    fails(said, "3.14.1.1 was made of another version of av1part: masks.c, policy.c of its C code differ")
    fails(said, "Install the two wheels of one `make wheels`, or run `av1part encoder build`")


def test_a_wheel_of_other_flags_is_refused_too(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libaom_build, "C_FLAGS", (*libaom_build.C_FLAGS, "-DOTHER"))
    fails(cli("encoder", "info"), "flags or wrapped calls of its C code differ")


def test_it_serves_no_other_version_of_libaom(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = list(versions())[1]
    monkeypatch.setenv(CHOICE, other)
    fails(cli("encoder", "info"), f"libaom {other} is not built", f"No wheel has libaom {other}.")


@pytest.mark.parametrize(
    ("machine", "libc", "said"),
    [
        ("x86_64", ("glibc", "2.36"), "The wheel av1part-libaom brings it without a compiler."),
        ("x86_64", ("glibc", "2.34"), "The wheel av1part-libaom brings it without a compiler."),
        ("x86_64", ("glibc", "2.31"), "with glibc 2.34 or newer; this is x86_64 with glibc 2.31."),
        ("x86_64", ("", ""), "with glibc 2.34 or newer; this is x86_64 with another C library."),
        ("aarch64", ("glibc", "2.36"), "is for x86_64 with glibc 2.34 or newer; this is aarch64 with glibc 2.36."),
    ],
)
def test_one_sentence_says_whether_a_machine_can_use_it(machine: str, libc: tuple[str, str], said: str) -> None:
    assert libaom_wheel.advice(machine, libc).endswith(said)


def test_where_neither_is_there_both_ways_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AV1PART_CACHE", str(tmp_path / "cache"))
    fails(cli("encoder", "info"), "Run `av1part encoder build` (3 to 4 minutes, once)", "The wheel av1part-libaom ")
