"""The proof on a GPU provider, run for real: WebGPU, on whatever device is there, in software where there is no GPU."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from support.webgpu import NO_DEVICE

from export.bundle.bundle import Bundle
from export.compare.batches import between_batches, run_batches
from export.compare.verdict import judge
from export.graph import webgpu
from export.graph.runtime import RuntimeModel
from export.proof.config import ParityConfig
from export.proof.graph_faults import FAULTS, moved_weights
from export.proof.prove import ParityResult, Proof, prepare, prove
from export.proof.selftest import selftest
from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet

pytestmark = pytest.mark.usefixtures("webgpu_provider")
FEW = ParityConfig(providers=("webgpu",), limit=9, batches=(7,))
SOFTWARE = "GPU provider on a software device"


@pytest.fixture(scope="module")
def bundle(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(exported, tmp_path_factory.mktemp("webgpu") / "bundle"))


@pytest.fixture(scope="module")
def proven(bundle: Path, blockset_8: Path) -> ParityResult:
    """The result of a real proof, whose report lies in `bundle`."""
    return prove(bundle, blockset_8, FEW)


@pytest.fixture(scope="module")
def proof(bundle: Path, blockset_8: Path) -> Proof:
    return prepare(Bundle.load(bundle, with_report=False).checkpoint(), BlockSet.load(blockset_8), FEW)


@pytest.mark.numeric
def test_an_honest_bundle_passes_within_the_budget_of_pytorch(proven: ParityResult, bundle: Path) -> None:
    result = proven["profiles"]["webgpu-fp32"]
    assert (proven["passed"], result["status"], result["reason"]) == (True, "passed", "")
    assert list(proven["profiles"]) == ["cpu-fp32", "webgpu-fp32"]  # the graph itself is always checked on the CPU
    assert 0 < result["rms"] <= result["rms_budget"]
    assert result["flips"] == 0
    opened = Bundle.load(bundle)
    assert opened.proven("webgpu")
    assert not opened.proven("cuda")


def test_every_node_ran_on_it(proven: ParityResult) -> None:
    placement = proven["profiles"]["webgpu-fp32"]["placement"]
    assert set(placement) == {"WebGpuExecutionProvider"}
    assert placement["WebGpuExecutionProvider"] > 5


def test_the_device_is_recorded_and_a_software_one_is_said_to_be_one(proven: ParityResult, bundle: Path) -> None:
    result = proven["profiles"]["webgpu-fp32"]
    assert set(result["gpu"]) == {"name", "kind", "driver", "onnxruntime_webgpu"}
    software = result["gpu"]["kind"] == "software"
    assert result["budget_assumed"] == (not software)
    for name in ("parity.md", "parity.html"):
        text = (bundle / name).read_text()
        assert result["gpu"]["name"].split("(")[0] in text
        assert (SOFTWARE in text) == software


def test_repeated_runs_are_equal_or_the_spread_is_said(proven: ParityResult) -> None:
    repeats = proven["profiles"]["webgpu-fp32"]["repeatability"]
    assert set(repeats) == {"same session", "fresh session"}
    for found in repeats.values():
        assert found["equal"] == (found["largest"] == 0)


@pytest.mark.parametrize("fault", [moved_weights])  # the mildest; the self-test below plants all
def test_a_planted_fault_fails_on_it(proof: Proof, bundle: Path, fault: Any) -> None:
    """In one call of one block size: only the verdict counts."""
    opened = Bundle.load(bundle)
    planted = onnx.load_model_from_string(opened.model_bytes())
    fault(planted)
    session = RuntimeModel(planted.SerializeToString(), opened.contract, "webgpu")
    found = run_batches(session.one_call, proof.blocks.inputs, (7,))
    verdict = judge(found, proof.reference, proof.budget)
    assert verdict["status"] == "failed"
    assert "exceeds the budget" in verdict["reason"]


def test_a_provider_that_computes_wrong_fails_and_the_graph_is_not_blamed(
    bundle: Path, blockset_8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    real = webgpu.Session.run
    monkeypatch.setattr(webgpu.Session, "run", lambda s, n, f: [y * np.float32(1.001) for y in real(s, n, f)])
    result = prove(copy, blockset_8, FEW)
    assert result["profiles"]["cpu-fp32"]["status"] == "passed"
    assert result["profiles"]["webgpu-fp32"]["status"] == "failed"
    assert not result["passed"]
    assert not result["bisect"]["departs"]
    assert not Bundle.load(copy).proven("webgpu")


def test_without_a_device_it_reads_not_run_and_not_passed(
    exported: Path, blockset_8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in NO_DEVICE.items():
        monkeypatch.setenv(name, value)
    copy = Path(shutil.copytree(exported, tmp_path / "bundle"))
    words = ["parity", str(copy), str(blockset_8), "--provider", "webgpu", "--limit", "9"]
    run = CliRunner().invoke(main, words)
    assert run.exit_code == 1
    assert "webgpu-fp32: not-run\n    WebGPU was asked for" in run.stdout
    assert run.stdout.endswith("NOT PASSED\n")
    assert not Bundle.load(copy).proven("webgpu")
    result = json.loads((copy / "parity.json").read_text())["profiles"]["webgpu-fp32"]
    assert (result["status"], result["comparisons"]) == ("not-run", 0)


@pytest.mark.long
@pytest.mark.numeric
def test_every_batch_size_passes_and_the_command_says_on_what(exported: Path, blockset_8: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(exported, tmp_path / "bundle"))
    result = prove(copy, blockset_8, replace(FEW, limit=100, batches=(1, 7, 64, 1000)))["profiles"]["webgpu-fp32"]
    assert (result["status"], result["reason"]) == ("passed", "")
    assert list(result["batches"]) == ["1", "7", "64", "1000"]
    assert set(result["batch_variance"]) == {"1", "7", "1000"}
    assert max(value or 0 for value in result["batch_variance"].values()) <= result["max_budget"]


@pytest.mark.long
@pytest.mark.numeric
def test_the_self_test_catches_its_faults_on_it(exported: Path, blockset_8: Path) -> None:
    found = selftest(exported, blockset_8, replace(FEW, limit=60))
    assert found["passed"], found["faults"]
    assert found["faults"]["nothing"]["status"] == "passed"
    caught = {name for name, fault in found["faults"].items() if fault["status"] == "caught"}
    assert set(FAULTS) <= caught


@pytest.mark.long
@pytest.mark.numeric
def test_the_budget_s_factors_hold_on_it_by_measure(stage_bundles: dict[str, Path], blockset_8: Path) -> None:
    """The budget is 4 times PyTorch's own error; a healthy provider measures far less."""
    data = BlockSet.load(blockset_8)
    for path in stage_bundles.values():
        opened = Bundle.load(path)
        own = prepare(opened.checkpoint(), data, FEW)
        session = RuntimeModel(opened.model_bytes(), opened.contract, "webgpu")
        found = run_batches(session.one_call, own.blocks.inputs, (7, 64))
        verdict = judge(found, own.reference, own.budget)
        assert 0.1 < verdict["ratio"] < 3, path
        assert max(value or 0 for value in between_batches(found, len(own.blocks)).values()) <= own.budget.max
