"""Nothing that av1part runs reports to anybody, writes into the home folder, or obeys whom it must not."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.hosts import build_host, privileged
from support.pictures import frame
from support.pipelines import LIBAOM, random_pipeline
from support.places import ROOT

from integration import zoo
from integration.codec.libaom_build import SOURCES, Libraries
from integration.codec.masker import onnx_runtime

PHOTO = zoo.FOLDER / "photo-8bit"
VARIABLE = "ORT_DISABLE_TELEMETRY"
IMPORT = f"import sys, os, importlib; importlib.import_module(sys.argv[1]); print(os.environ['{VARIABLE}'])"
FORK = """
import os, sys
from pathlib import Path
from export import Bundle
session = Bundle.load(Path(sys.argv[1])).session(threads=1)
child = os.fork()
if child:
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def offline() -> list[str]:
    """Command that cuts another one off from the network, so that a test that fails reports nothing either."""
    words = ["unshare", "--map-root-user", "--net"]
    return words if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0 else []


def alone(command: list[object], home: Path, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run a command with an empty home and none of this process's variables, which have the telemetry off already."""
    home.mkdir(exist_ok=True)
    own = {"HOME": home, "PATH": os.environ["PATH"], "PYTHONPATH": ROOT, "PYTHONDONTWRITEBYTECODE": 1} | variables
    env = {name: str(value) for name, value in own.items()}
    found = subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True, check=False, timeout=120)
    assert found.returncode == 0, found.stderr
    return found


def left_in(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*"))


@pytest.fixture(scope="module")
def pipe(exported: Path, blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline for 8 bit, GOOD usage, cpu-used 2."""
    path, luma = tmp_path_factory.mktemp("pipe") / "pipe", frame(64, 64)[0]
    settings = LIBAOM | {"cpu_used": 2}
    return random_pipeline(path, exported / "checkpoint.pt", blockset_8, luma, {"2": 0}, encoder=settings)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "in.yuv"
    path.write_bytes(b"".join(plane.tobytes() for plane in frame(64, 64)))
    return path


@pytest.fixture(scope="module")
def host(libaom: Libraries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_host(libaom, tmp_path_factory.mktemp("host") / "host")


@pytest.mark.parametrize("package", ["av1part", "toolkit", "export", "integration"])
def test_every_package_switches_the_telemetry_off_unless_the_user_said_otherwise(package: str, tmp_path: Path) -> None:
    words = [sys.executable, "-c", IMPORT, package]
    assert alone(words, tmp_path).stdout == "1\n"
    assert alone(words, tmp_path, **{VARIABLE: "0"}).stdout == "0\n"


def test_a_session_in_python_reports_nothing_and_a_forked_child_ends(
    exported: Path, offline: list[str], tmp_path: Path
) -> None:
    alone([*offline, sys.executable, "-c", FORK, exported], tmp_path / "home")
    assert left_in(tmp_path / "home") == []


def test_bundle_verify_reports_nothing(exported: Path, offline: list[str], tmp_path: Path) -> None:
    alone([*offline, sys.executable, "-m", "av1part", "bundle", "verify", exported], tmp_path / "home")
    assert left_in(tmp_path / "home") == []


def test_a_host_that_masks_reports_nothing(
    libaom: Libraries, host: Path, pipe: Path, picture: Path, offline: list[str], tmp_path: Path
) -> None:
    words = [*offline, host, 64, 64, 28, 2, picture, tmp_path / "out.obu"]
    stats = tmp_path / "stats"
    own = {"AV1PART_PIPELINE": pipe, "AV1PART_STATS": stats, "AV1PART_ONNXRUNTIME": onnx_runtime()}
    assert alone(words, tmp_path / "home", LD_LIBRARY_PATH=libaom.aom.parent, **own).stderr == ""
    assert json.loads(stats.read_text())["masked_frames"] == 1
    assert left_in(tmp_path / "home") == []


def test_a_program_with_more_rights_than_its_user_sees_no_variable_of_ours(
    libaom: Libraries, picture: Path, tmp_path: Path
) -> None:
    ordinary = build_host(libaom, tmp_path / "ordinary", f"-Wl,-rpath,{libaom.aom.parent}")
    trusted = privileged(ordinary)
    if trusted is None:
        pytest.skip("no program can be given more rights here: no second group, or a mount with nosuid")
    made, own = {}, {"AV1PART_PIPELINE": PHOTO, "AV1PART_STATS": tmp_path / "stats", "AV1PART_PRICE": "nonsense"}
    for name, program, variables in (("plain", ordinary, {}), ("own", trusted, own)):
        output = tmp_path / f"{name}.obu"
        assert alone([program, 64, 64, 43, 2, picture, output], tmp_path / "home", **variables).stderr == ""
        made[name] = output.read_bytes()
    assert made["own"] == made["plain"]
    assert not (tmp_path / "stats").exists()
    found = alone([ordinary, 64, 64, 43, 2, picture, tmp_path / "out.obu"], tmp_path / "home", **own)
    assert "AV1PART_PRICE: expected a number" in found.stderr, "the same program without these rights sees them"


def test_c_reads_the_environment_and_opens_files_in_one_safe_way_each() -> None:
    for file in SOURCES.glob("*.c"):
        unsafe = re.findall(r"(?<!secure_)getenv\(|\bfopen\(", file.read_text())
        assert unsafe == [], f"{file.name}: use secure_getenv, and av1part_open_ordinary of file.h"
