"""The proof on GPU providers, run for real: WebGPU, in software where there is no GPU, and CUDA where there is one."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from support.gpu import NO_CUDA
from support.webgpu import NO_DEVICE, convolution

from export.bundle.bundle import Bundle
from export.compare.batches import between_batches, run_batches
from export.compare.verdict import judge
from export.graph import webgpu
from export.graph.runtime import PROVIDERS, RuntimeModel, open_session
from export.proof.config import ParityConfig
from export.proof.graph_faults import FAULTS, moved_weights
from export.proof.prove import ParityResult, Proof, prepare, prove
from export.proof.selftest import selftest
from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet

FEW = ParityConfig(limit=9, batches=(7,))
SOFTWARE = "GPU provider on a software device"
ON_CUDA = pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(NO_CUDA, reason="no CUDA device here")])
PROFILE = {"webgpu": "webgpu-fp32", "cuda": "cuda-strict"}


def on(provider: str, **changes: Any) -> ParityConfig:
    """FEW on that provider, with these changes."""
    return replace(FEW, providers=(provider,), **changes)


@pytest.fixture(scope="module", params=["webgpu", ON_CUDA])
def provider(request: pytest.FixtureRequest) -> str:
    """Each GPU provider: WebGPU everywhere, CUDA as not run where there is no device."""
    if request.param == "webgpu":
        request.getfixturevalue("webgpu_provider")
    return str(request.param)


@pytest.fixture(scope="module")
def bundle(exported: Path, provider: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(exported, tmp_path_factory.mktemp(provider) / "bundle"))


@pytest.fixture(scope="module")
def proven(bundle: Path, provider: str, blockset_8: Path) -> ParityResult:
    """The result of a real proof, whose report lies in `bundle`."""
    return prove(bundle, blockset_8, on(provider))


@pytest.fixture(scope="module")
def proof(bundle: Path, provider: str, blockset_8: Path) -> Proof:
    return prepare(Bundle.load(bundle, with_report=False).checkpoint(), BlockSet.load(blockset_8), on(provider))


@pytest.mark.numeric
def test_an_honest_bundle_passes_within_the_budget_of_pytorch(
    proven: ParityResult, provider: str, bundle: Path
) -> None:
    result = proven["profiles"][PROFILE[provider]]
    assert (proven["passed"], result["status"], result["reason"]) == (True, "passed", "")
    assert list(proven["profiles"]) == ["cpu-fp32", PROFILE[provider]]  # the graph itself is always checked on the CPU
    assert 0 < result["rms"] <= result["rms_budget"]
    assert result["flips"] == 0
    opened = Bundle.load(bundle)
    assert [opened.proven(name) for name in PROFILE] == [name == provider for name in PROFILE]


def test_every_node_ran_on_it(proven: ParityResult, provider: str) -> None:
    placement = proven["profiles"][PROFILE[provider]]["placement"]
    assert set(placement) == {PROVIDERS[provider]}
    assert placement[PROVIDERS[provider]] > 5


def test_the_device_is_recorded_and_a_software_one_is_said_to_be_one(
    proven: ParityResult, provider: str, bundle: Path
) -> None:
    result = proven["profiles"][PROFILE[provider]]
    if provider == "cuda":
        assert result["gpu"]["gpu"]
        return
    assert set(result["gpu"]) == {"name", "kind", "driver", "onnxruntime_webgpu"}
    software = result["gpu"]["kind"] == "software"
    assert result["budget_assumed"] == (not software)
    for name in ("parity.md", "parity.html"):
        text = (bundle / name).read_text()
        assert result["gpu"]["name"].split("(")[0] in text
        assert (SOFTWARE in text) == software


def test_repeated_runs_are_equal_or_the_spread_is_said(proven: ParityResult, provider: str) -> None:
    repeats = proven["profiles"][PROFILE[provider]]["repeatability"]
    assert set(repeats) == {"same session", "fresh session"}
    for found in repeats.values():
        assert found["equal"] == (found["largest"] == 0)


@pytest.mark.parametrize("fault", [moved_weights])  # the mildest; the self-test below plants all
def test_a_planted_fault_fails_on_it(proof: Proof, provider: str, bundle: Path, fault: Any) -> None:
    """In one call of one block size: only the verdict counts."""
    opened = Bundle.load(bundle)
    planted = onnx.load_model_from_string(opened.model_bytes())
    fault(planted)
    session = RuntimeModel(planted.SerializeToString(), opened.contract, provider)
    found = run_batches(session.one_call, proof.blocks.inputs, (7,))
    verdict = judge(found, proof.reference, proof.budget)
    assert verdict["status"] == "failed"
    assert "exceeds the budget" in verdict["reason"]


REAL = webgpu.Session.run


def computing_wrong(session: webgpu.Session, names: Any, feed: Any) -> Any:
    return [output * np.float32(1.001) for output in REAL(session, names, feed)]


def lost(session: webgpu.Session, names: Any, feed: Any) -> Any:
    session._process.kill()
    return REAL(session, names, feed)


@pytest.mark.usefixtures("webgpu_provider")
@pytest.mark.parametrize(
    ("run", "reason", "ran"),
    [
        (computing_wrong, "exceeds the budget", True),
        (lost, "the process with the WebGPU device ended with -9", False),
    ],
)
def test_a_provider_that_computes_wrong_or_is_lost_fails_in_one_line_and_the_graph_is_not_blamed(
    exported: Path, blockset_8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any, reason: str, ran: bool
) -> None:
    copy = Path(shutil.copytree(exported, tmp_path / "bundle"))
    monkeypatch.setattr(webgpu.Session, "run", run)
    found = prove(copy, blockset_8, on("webgpu"))
    result = found["profiles"]["webgpu-fp32"]
    assert (found["passed"], result["status"]) == (False, "failed")
    assert found["profiles"]["cpu-fp32"]["status"] == "passed"
    assert reason in result["reason"]
    assert "\n" not in result["reason"]
    assert not found["bisect"]["departs"]
    assert bool(found["reproducers"]) == ran
    assert not Bundle.load(copy).proven("webgpu")


def test_two_sessions_at_once_do_not_disturb_each_other(provider: str) -> None:
    x = np.linspace(0, 1, 3 * 64, dtype=np.float32).reshape(3, 1, 8, 8)
    first, second = (open_session(convolution(op), provider, None)[0] for op in ("Abs", "Neg"))
    one, two = (session.run(["y"], {"x": x})[0] for session in (first, second))
    assert np.array_equal(first.run(["y"], {"x": x})[0], one)
    np.testing.assert_allclose(-two, one, atol=1e-5)


@pytest.mark.usefixtures("webgpu_provider")
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
def test_every_batch_size_passes(exported: Path, provider: str, blockset_8: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(exported, tmp_path / "bundle"))
    config = on(provider, limit=100, batches=(1, 7, 64, 1000))
    result = prove(copy, blockset_8, config)["profiles"][PROFILE[provider]]
    assert (result["status"], result["reason"]) == ("passed", "")
    assert list(result["batches"]) == ["1", "7", "64", "1000"]
    assert set(result["batch_variance"]) == {"1", "7", "1000"}
    assert max(value or 0 for value in result["batch_variance"].values()) <= result["max_budget"]


@pytest.mark.long
@pytest.mark.numeric
def test_the_self_test_catches_its_faults_on_it(exported: Path, provider: str, blockset_8: Path) -> None:
    found = selftest(exported, blockset_8, on(provider, limit=60))
    assert found["passed"], found["faults"]
    assert found["faults"]["nothing"]["status"] == "passed"
    caught = {name for name, fault in found["faults"].items() if fault["status"] == "caught"}
    assert set(FAULTS) <= caught


@pytest.mark.long
@pytest.mark.numeric
def test_the_budget_s_factors_hold_on_it_by_measure(
    stage_bundles: dict[str, Path], provider: str, blockset_8: Path
) -> None:
    """The budget is 4 times PyTorch's own error; a healthy provider measures far less."""
    data = BlockSet.load(blockset_8)
    for path in stage_bundles.values():
        opened = Bundle.load(path)
        own = prepare(opened.checkpoint(), data, on(provider))
        session = RuntimeModel(opened.model_bytes(), opened.contract, provider)
        found = run_batches(session.one_call, own.blocks.inputs, (7, 64))
        verdict = judge(found, own.reference, own.budget)
        assert 0.1 < verdict["ratio"] < 3, path
        assert max(value or 0 for value in between_batches(found, len(own.blocks)).values()) <= own.budget.max
