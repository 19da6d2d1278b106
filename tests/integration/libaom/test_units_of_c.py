"""C tests of the C units that need no encoder: tests/native, compiled with sanitizers, a group a test."""

import subprocess
from pathlib import Path

import pytest
from support.places import TESTS

from integration.codec.libaom_build import C_FLAGS, SANITIZERS, SOURCES, Libraries

UNITS = (
    *(
        "file",
        "instances",
        "masker",
        "node_features",
        "onnx",
        "overrides",
        "pipeline",
        "pipeline_file",
        "policy",
        "pruner",
    ),
    *("pruner_file", "references"),
)


@pytest.fixture(scope="module")
def program(libaom: Libraries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("native") / "units"
    include = libaom.hook.parents[1] / str(libaom.info["libaom"]) / "include"
    sources = [*(SOURCES / f"{unit}.c" for unit in UNITS), *sorted((TESTS / "native").glob("*.c"))]
    flags = [flag for flag in C_FLAGS if flag not in ("-O3", "-fPIC")]
    flags += ["-O1", "-g", f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=all"]
    words = ["cc", *flags, "-I", SOURCES, "-isystem", include, *sources, "-o", path, "-lm", "-lpthread", "-ldl"]
    subprocess.run(words, check=True)
    return path


@pytest.mark.parametrize("group", ["policy", "pruner", "files", "masker", "instances", "references"])
def test_what_a_unit_of_c_promises_holds(program: Path, tmp_path: Path, group: str) -> None:
    run = subprocess.run([program, group, tmp_path], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
