"""The two wheels of `make wheels`: what is inside, and an encode by them alone, outside of the checkout."""

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from support.commands import done
from support.pictures import CHELSEA
from support.places import ROOT

from integration.codec import libaom_wheel
from integration.codec.libaom_build import CMAKE_FLAGS, Libraries
from integration.codec.libaom_versions import versions
from toolkit.files import cache_folder, sha256_file

SETTINGS = ("--size", "64x64", "--cq", 40, "--cpu-used", 2)


@pytest.fixture(scope="module")
def wheels(libaom: Libraries, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Wheels of this checkout: av1part, av1part-libaom."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, ROOT / "wheels" / "build.py", "-o", folder], check=True, capture_output=True)
    ours, encoder = sorted(folder.iterdir())
    return ours, encoder


@pytest.fixture(scope="module")
def installed(wheels: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Environment with both wheels, and the other packages of the one that runs the tests."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", folder / "bin" / "python"]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", *wheels], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "others.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    return folder


def av1part(installed: Path, *words: object) -> str:
    """What the installed `av1part` prints where there is neither a build nor a compiler."""
    own = {"PATH": str(installed / "bin"), "AV1PART_CACHE": str(installed / "cache"), "HOME": str(installed)}
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AV1PART", "PYTHON"))} | own
    command = [installed / "bin" / "av1part", *map(str, words)]
    found = subprocess.run(command, cwd=installed, env=env, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_the_wheels_alone_encode_the_same_stream_as_a_build(libaom: Libraries, installed: Path, tmp_path: Path) -> None:
    facts = json.loads(av1part(installed, "encoder", "info", "--json"))
    assert facts["origin"].startswith("wheel av1part-libaom ")
    assert Path(facts["path"]).is_relative_to(installed)
    av1part(installed, "encode", CHELSEA, *SETTINGS, "-o", tmp_path / "wheel.ivf")
    done("encode", CHELSEA, *SETTINGS, "-o", tmp_path / "build.ivf")
    assert (tmp_path / "wheel.ivf").read_bytes() == (tmp_path / "build.ivf").read_bytes()
    variables = dict(line.split("=", 1) for line in av1part(installed, "env", "--format", "lines").splitlines())
    assert (Path(variables["LD_LIBRARY_PATH"].split(":")[0]) / "libaom.so.3").is_file()


def test_the_encoders_wheel_says_what_it_is_made_of_and_under_which_terms(wheels: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(wheels[1]) as wheel:
        names = set(wheel.namelist())
        inside = {Path(name).name: wheel.read(name) for name in names if name.endswith((".so", ".3", "build.json"))}
    parts = ("av1part/LICENSE", "libaom/LICENSE", "libaom/PATENTS", "x86inc/LICENSE")
    assert {f"av1part_libaom/licenses/{part}" for part in parts} < names
    info = json.loads(inside.pop("build.json"))
    assert info["files"].keys() == inside.keys() == {"libav1part_hook.so", "libav1part_stock.so", "libaom.so.3"}
    assert info["source_sha256"] == versions()[info["version"]].archive.sha256
    flags = " ".join((*info["cmake_flags"], *info["hook_flags"]))
    assert tuple(info["cmake_flags"]) == CMAKE_FLAGS
    assert "-march" not in flags, "it is for every CPU of its machine"
    assert "-mtune" not in flags
    for name, library in inside.items():
        assert os.fsencode(cache_folder()) not in library, f"{name} has a path of this machine"
        assert b"/work/source/" not in library, name
        assert b".note.gnu.build-id" not in library, f"{name} has a hash of paths"


def test_the_tag_and_the_extra_are_what_the_package_says(wheels: tuple[Path, Path]) -> None:
    major, minor = libaom_wheel.GLIBC
    project = tomllib.loads((ROOT / "wheels" / "libaom" / "pyproject.toml").read_text())["project"]
    number = project["version"]
    assert wheels[1].name == f"av1part_libaom-{number}-py3-none-manylinux_{major}_{minor}_{libaom_wheel.MACHINE}.whl"
    assert number.rpartition(".")[0] == next(iter(versions()))
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert ours["optional-dependencies"]["encoder"] == [f"{libaom_wheel.WHEEL}=={number}"]


def test_a_second_build_of_the_wheels_gives_the_same_bytes(wheels: tuple[Path, Path], tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "wheels" / "build.py", "-o", tmp_path], check=True, capture_output=True)
    assert [sha256_file(path) for path in sorted(tmp_path.iterdir())] == [sha256_file(path) for path in wheels]
