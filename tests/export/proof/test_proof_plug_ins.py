"""Providers by ONNX Runtime's own names: the rules are those of ours, and a real plug-in is held to them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from support.commands import cli, message
from support.openvino import IN_FLOAT32, NAME, library
from support.sealed import write_json
from support.webgpu import convolution

from export.bundle.bundle import Bundle
from export.graph.profiles import is_profile
from export.proof.graph_faults import moved_weights
from toolkit.files import seal, sha256_file


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


@pytest.fixture(scope="module")
def openvino() -> Path:
    return library()


def test_a_provider_that_is_not_there_reads_not_run_and_those_that_are_there_are_listed(
    bundle: Path, blockset_8: Path
) -> None:
    run = cli("parity", bundle, blockset_8, "--provider", "RknpuExecutionProvider", "--limit", 20)
    assert run.exit_code == 1
    assert "  RknpuExecutionProvider: not-run\n" in run.stdout
    assert "there is no RknpuExecutionProvider with a device here, only " in run.stdout
    assert "CPUExecutionProvider" in run.stdout
    assert run.stdout.endswith("NOT PASSED\n")
    result = json.loads((bundle / "parity.json").read_text())["profiles"]["RknpuExecutionProvider"]
    assert (result["status"], result["comparisons"], result["budget_assumed"]) == ("not-run", 0, True)
    assert Bundle.load(bundle).report


def test_a_library_that_is_none_reads_not_run(bundle: Path, blockset_8: Path, tmp_path: Path) -> None:
    junk = tmp_path / "junk.so"
    junk.write_text("no library")
    words = ("--provider", NAME, "--provider-library", junk, "--limit", 20)
    run = cli("parity", bundle, blockset_8, *words)
    assert run.exit_code == 1
    assert f"  {NAME}: not-run\n    {junk}: ONNX Runtime " in run.stdout
    assert "Expected a plug-in execution provider library" in run.stdout


def test_what_does_not_go_together_is_refused(bundle: Path, blockset_8: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.so"
    there.touch()
    common = ("parity", bundle, blockset_8)
    for words in (("--provider-library", there), ("--provider", "cpu", "--provider-option", "a=b")):
        assert "expected exactly one of ONNX Runtime's own names" in message(cli(*common, *words))
    missing = ("--provider", NAME, "--provider-library", tmp_path / "missing.so")
    assert "no such file. Expected the library of OpenVINOExecutionProvider" in message(cli(*common, *missing))
    for words in (("--provider", "openvino"), ("--provider", NAME, "--provider-option", "a"), ("--selftest",)):
        named = ("--provider", NAME) if words == ("--selftest",) else ()
        assert cli(*common, *words, *named).exit_code == 2, words


def test_names_of_profiles_are_ours_or_onnx_runtime_s() -> None:
    assert [is_profile(n) for n in ("cpu-fp32", NAME, f"{NAME}.AUTO", "cpu-fp64", "../x")] == [True] * 3 + [False] * 2


@pytest.mark.long
@pytest.mark.numeric
def test_a_real_plug_in_passes_in_float32_and_is_repeated_without_torch(
    bundle: Path, blockset_8: Path, openvino: Path
) -> None:
    words = ("--provider", NAME, "--provider-library", openvino, "--provider-option", IN_FLOAT32)
    run = cli("parity", bundle, blockset_8, *words, "--limit", 60)
    assert run.exit_code == 0, run.stdout
    result = json.loads((bundle / "parity.json").read_text())["profiles"][NAME]
    assert set(result["placement"]) == {NAME}
    assert set(result["batches"]) == {"1", "2", "3", "7", "64", "1000", "8160"}
    assert (result["gpu"]["kind"], result["budget_assumed"]) == ("CPU", True)
    assert f"on {result['gpu']['name']}, CPU, {NAME}" in run.stdout
    assert result["gpu"]["name"] in (bundle / "parity.md").read_text()
    again = cli("parity", bundle, "--replay", *words)
    assert again.exit_code == 0, again.stdout
    assert NAME in json.loads((bundle / "replay.json").read_text())["profiles"]
    assert Bundle.load(bundle).report


@pytest.mark.long
@pytest.mark.numeric
def test_a_fault_on_it_fails_and_is_cut_down_to_what_still_fails_there_in_plain_onnx_runtime(
    bundle: Path, blockset_8: Path, openvino: Path
) -> None:
    proto = onnx.load(bundle / "model.onnx")
    moved_weights(proto)
    onnx.save(proto, bundle / "model.onnx")
    manifest = json.loads((bundle / "manifest.json").read_text())
    size = (bundle / "model.onnx").stat().st_size
    manifest["files"]["model.onnx"] = {"bytes": size, "sha256": sha256_file(bundle / "model.onnx")}
    write_json(bundle / "manifest.json", seal(manifest))
    words = ("--provider", NAME, "--provider-library", openvino, "--provider-option", IN_FLOAT32)
    run = cli("parity", bundle, blockset_8, *words, "--limit", 20, "--json")
    assert run.exit_code == 1
    found = json.loads(run.stdout)
    assert found["profiles"][NAME]["status"] == "failed"
    folder = Path(found["reproducers"][NAME]["folder"])
    assert json.loads((folder / "manifest.json").read_text())["nodes"] <= 2
    printed = subprocess.run(
        [sys.executable, "reproduce.py"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.split()
    assert float(printed[2]) > float(printed[4])


@pytest.mark.long
def test_its_library_must_bring_the_provider_that_is_asked_for(bundle: Path, blockset_8: Path, openvino: Path) -> None:
    words = ("--provider", "OtherExecutionProvider", "--provider-library", openvino, "--limit", 20)
    run = cli("parity", bundle, blockset_8, *words)
    assert run.exit_code == 1
    assert "  OtherExecutionProvider: not-run\n" in run.stdout
    assert "there is no OtherExecutionProvider with a device here, only CPUExecutionProvider" in run.stdout
    assert f", {NAME}" in run.stdout


@pytest.mark.long
def test_a_node_that_it_does_not_take_is_refused(openvino: Path, tmp_path: Path) -> None:
    """In a process of its own: a library stays loaded."""
    for name in ("Hardmax", "Det"):
        (tmp_path / name).write_bytes(convolution(name))
    code = (
        "import sys; from pathlib import Path\n"
        "from export.graph.plug_ins import register\n"
        "from export.graph.runtime import open_session\n"
        "register(*sys.argv[1:3])\n"
        "for graph in sys.argv[3:]:\n"
        "    print(open_session(Path(graph).read_bytes(), sys.argv[1], None)[1])\n"
    )
    words = [sys.executable, "-c", code, NAME, str(openvino), str(tmp_path / "Hardmax"), str(tmp_path / "Det")]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    assert run.stdout == f"{{'{NAME}': 2}}\n"
    assert "assigned to the default CPU EP, but fallback to CPU EP has been" in run.stderr
