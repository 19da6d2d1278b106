"""The proof: what passes, what must fail, what is reported as not run, and that the gate can fail."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from conftest import MakeBlockset
from support.gpu import NO_CUDA

import export.graph.process
from export.bundle.bundle import Bundle
from export.compare.budget import set_budget
from export.compare.verdict import NEAR_TIE_LIMIT, Budget, compare, summarise
from export.graph.export import export_onnx
from export.graph.profiles import PROFILES
from export.graph.runtime import RuntimeModel
from export.proof.bundle_faults import BUNDLE_FAULTS, MODEL_FAULTS, STRICT_FAULTS, planted
from export.proof.config import ParityConfig
from export.proof.graph_faults import FAULTS, NotApplicable
from export.proof.isolated import run_apart
from export.proof.prove import prepare, prove
from export.proof.selftest import selftest
from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet

CPU = ParityConfig(providers=("cpu",), limit=60)
BUDGET = Budget(rms=4e-7, max=8e-7, reference_rms=1e-7, reference_max=1e-7, blocks=9)
LOGITS = np.random.default_rng(0).normal(size=(200, 3))


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


@pytest.mark.numeric
def test_an_honest_bundle_is_proven(bundle: Path, blockset_8: Path) -> None:
    result = prove(bundle, blockset_8, CPU)
    cpu = result["providers"]["cpu"]
    assert (result["passed"], cpu["status"], cpu["reason"]) == (True, "passed", "")
    assert list(cpu["batches"]) == ["1", "2", "3", "7", "64", "1000", "8160"]
    assert cpu["batches"]["8160"]["blocks"] == 8161  # a whole frame in one call
    assert cpu["batches"]["1000"]["blocks"] == 1001  # repeated, so that one batch really was of 1,000
    assert cpu["comparisons"] == 3 * (60 + 61 + 61 + 60 + 65 + 1001 + 8161)
    assert 0 < cpu["rms"] <= cpu["rms_budget"]
    assert cpu["ratio"] == pytest.approx(4 * cpu["rms"] / cpu["rms_budget"])
    assert cpu["placement"]["CPUExecutionProvider"] > 5
    opened = Bundle.load(bundle)
    assert opened.proven("cpu")
    assert not opened.proven("cuda")
    assert "## cpu-fp32: passed" in (bundle / "parity.md").read_text()
    assert opened.report is not None
    assert opened.report["manifest_sha256"] == opened.sha256


def test_the_draw_is_even_over_classes_and_qindex(exported: Path, blockset_8: Path) -> None:
    proof = prepare(Bundle.load(exported).checkpoint(), BlockSet.load(blockset_8), CPU)
    _, counts = np.unique(np.stack([proof.blocks.target, proof.blocks.qindex]), axis=1, return_counts=True)
    assert counts.min() >= 9
    assert counts.max() <= 11
    assert proof.reference.dtype == np.float64


def test_the_budget_never_sees_the_output(exported: Path, blockset_8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unusable(*_: Any) -> None:
        raise AssertionError("the budget asked ONNX Runtime")

    monkeypatch.setattr(RuntimeModel, "__init__", unusable)
    bundle = Bundle.load(exported)
    proof = prepare(bundle.checkpoint(), BlockSet.load(blockset_8), CPU)
    again, _ = set_budget(proof.model, bundle.checkpoint().calibration)
    assert proof.budget == again
    assert again.rms == 4 * again.reference_rms
    assert again.max == 8 * again.reference_max


def test_a_budget_has_a_floor_and_needs_blocks(exported: Path) -> None:
    calibration = Bundle.load(exported).checkpoint().calibration
    dead = PartitionNet(ModelConfig("2", "small")).eval()
    for parameter in dead.parameters():
        torch.nn.init.zeros_(parameter)
    budget, _ = set_budget(dead, calibration)
    assert budget.reference_rms == 0
    assert budget.rms > 0
    with pytest.raises(ToolkitError, match="no calibration blocks"):
        set_budget(dead, calibration[:0])


@pytest.mark.parametrize("error", [0.0, 3e-7])
def test_small_errors_pass(error: float) -> None:
    assert compare(LOGITS + error, LOGITS, BUDGET)["reasons"] == []


def one_large(x: np.ndarray) -> np.ndarray:
    x[7, 1] += 9e-7
    return x


def one_nan(x: np.ndarray) -> np.ndarray:
    x[7, 1] = np.nan
    return x


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda x: x + 5e-7, "RMS error"),
        (one_large, "largest error"),
        (one_nan, "1 logits are NaN"),
        (lambda x: x * np.inf, "NaN or infinite"),
        (lambda x: x[:, ::-1], "decisions differ"),
        (lambda x: x[:-1], "expected equal shapes"),
        (lambda x: x[:, :2], "expected equal shapes"),
    ],
)
def test_a_wrong_output_fails(fault: Any, reason: str) -> None:
    result = compare(fault(LOGITS.copy()), LOGITS, BUDGET)
    assert any(reason in r for r in result["reasons"])
    assert summarise({1: result})["status"] == "failed"


def test_decisions_may_differ_on_near_ties_alone() -> None:
    tied = LOGITS.copy()
    tied[0] = [1.0, 1.0 + 1.5e-6, 0.0]
    found = tied.copy()
    found[0] = [1.0 + 7.9e-7, 1.0 + 7.5e-7, 0.0]
    result = compare(found, tied, BUDGET)
    assert [result[name] for name in ("flips", "flips_allowed", "near_ties", "reasons")] == [0, 1, 1, []]
    wide = replace(BUDGET, rms=1.0)
    found[1] = np.roll(tied[1], 1)
    assert compare(found, tied, wide)["flips"] == 1
    assert any("near-ties" in r for r in compare(LOGITS * 0, LOGITS * 0, BUDGET)["reasons"])
    assert compare(tied, tied, BUDGET)["near_tie_share"] < NEAR_TIE_LIMIT


def test_nothing_compared_is_a_failure() -> None:
    assert summarise({})["status"] == "failed"
    assert compare(LOGITS[:0], LOGITS[:0], BUDGET)["reasons"]
    with pytest.raises(ToolkitError, match="at least one block"):
        ParityConfig(limit=0)
    with pytest.raises(ToolkitError, match="at least one block"):
        ParityConfig(batches=())


def test_a_damaged_runtime_fails_and_unproves(bundle: Path, blockset_8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert prove(bundle, blockset_8, CPU)["passed"]
    real = RuntimeModel.one_call
    # Wrong in batches of 64 alone, by one part in a thousand.
    monkeypatch.setattr(RuntimeModel, "one_call", lambda s, x, q: real(s, x, q) * np.float32(1 + (len(x) == 64) / 1000))
    result = prove(bundle, blockset_8, CPU)
    assert not result["passed"]
    assert result["providers"]["cpu"]["reason"].startswith("batch 64: RMS error")
    assert not Bundle.load(bundle).proven("cpu")
    # The graph is right; what runs it is not.
    assert result["bisect"] == {"departs": False, "message": result["bisect"]["message"]}


@pytest.mark.numeric
def test_every_planted_fault_is_caught(exported: Path, blockset_8: Path) -> None:
    before = sorted(p.name for p in exported.iterdir())
    result = selftest(exported, blockset_8, CPU)
    faults = {name: fault["status"] for name, fault in result["faults"].items()}
    assert result["passed"]
    assert faults.pop("nothing") == "passed"
    if NO_CUDA:
        assert faults.pop("TF32 where strict was asked: the logits") == "not-run"
    assert set(faults.values()) == {"caught"}
    assert faults.keys() >= {*FAULTS, *MODEL_FAULTS, *BUNDLE_FAULTS, *STRICT_FAULTS}
    for stage in ("stage", "bit depth"):  # caught by what they say, not by a report that happens to lie there
        reason = result["faults"][f"manifest of another {stage}'s bundle, sealed again"]["reason"]
        assert "ONNX file" in reason
    assert sorted(p.name for p in exported.iterdir()) == before


def test_a_fault_that_has_no_place_is_neither_caught_nor_missed(exported: Path) -> None:
    calibration = Bundle.load(exported).checkpoint().calibration
    blind = export_onnx(PartitionNet(ModelConfig("2", "small", qindex=False)).eval())
    with pytest.raises(NotApplicable, match="no node reads qindex"):
        FAULTS["qindex dropped"](onnx.load_model_from_string(blind))
    flat = PartitionNet(ModelConfig("2", "small"))
    flat.backbone = torch.nn.Flatten()
    with pytest.raises(NotApplicable, match="no batch-norm"):
        planted(flat, calibration, MODEL_FAULTS["another batch-norm epsilon"])


def test_a_selftest_that_misses_a_fault_does_not_pass(
    exported: Path, blockset_8: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import export.proof.selftest

    monkeypatch.setattr(export.proof.selftest, "FAULTS", {"none at all": lambda proto: None})
    monkeypatch.setattr(export.proof.selftest, "MODEL_FAULTS", {"no change": lambda model, calibration: None})
    monkeypatch.setattr(export.proof.selftest, "BUNDLE_FAULTS", {"no damage": lambda path: None})
    monkeypatch.setattr(export.proof.selftest, "STRICT_FAULTS", {"strict": PROFILES["cuda-strict"]})
    result = selftest(exported, blockset_8, CPU)
    assert not result["passed"]
    missed = {name for name, fault in result["faults"].items() if fault["status"] == "missed"}
    assert missed == {"none at all", "no change", "no damage", "strict"}


def test_unfit_data_are_refused(bundle: Path, make_blockset: MakeBlockset, tmp_path: Path, blockset_8: Path) -> None:
    with pytest.raises(ToolkitError, match="10-bit luma"):
        prove(bundle, make_blockset(tmp_path / "ten", bit_depth=10, splits={"test": 1}), CPU)
    # The same originals under another split: the model has seen them.
    with pytest.raises(ToolkitError, match="the model was trained on test-0"):
        prove(bundle, make_blockset(tmp_path / "seen", splits={"test": 1}), CPU)
    with pytest.raises(ToolkitError, match="trained on it"):
        ParityConfig(split="train")
    assert not (bundle / "parity.json").exists()


def test_data_without_the_split_name_the_one_that_would_do(
    bundle: Path, make_blockset: MakeBlockset, tmp_path: Path
) -> None:
    data = make_blockset(tmp_path / "data", splits={"train": 1, "val": 1})
    with pytest.raises(ToolkitError, match=r"test split has no block for stage 2\. .*Or pass --split val, which has"):
        prove(bundle, data, replace(CPU, any_settings=True))


@pytest.mark.numeric
def test_a_process_of_its_own_gives_the_same_numbers(exported: Path, blockset_8: Path) -> None:
    bundle = Bundle.load(exported)
    proof = prepare(bundle.checkpoint(), BlockSet.load(blockset_8), replace(CPU, limit=20))
    apart = replace(PROFILES["cpu-fp32"], environment={"NVIDIA_TF32_OVERRIDE": "0"})
    found = run_apart(exported, proof.blocks, apart, (7,))
    assert found.placement == bundle.session().placement
    assert found.repeats()["fresh session"]["equal"]
    here = bundle.session().logits(proof.blocks.luma[:7], proof.blocks.qindex[:7])
    np.testing.assert_allclose(found.logits[7][:7], here, atol=1e-6)
    with pytest.raises(ToolkitError, match="no such folder"):
        run_apart(exported / "nowhere", proof.blocks, apart, (7,))


def test_a_process_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "probe").write_text("onnxruntime")
    monkeypatch.setattr(export.graph.process, "TIMEOUT", 0.01)
    with pytest.raises(ToolkitError, match=r"no answer in 0\.01 s and was ended"):
        export.graph.process.run_module("export.proof.doctor_probe", tmp_path, {})


@pytest.mark.skipif(not NO_CUDA, reason="this machine has CUDA")
def test_cuda_without_a_gpu_is_not_run_and_never_passed(bundle: Path, blockset_8: Path) -> None:
    run = CliRunner().invoke
    asked = run(main, ["parity", str(bundle), str(blockset_8), "--provider", "cuda", "--limit", "20", "--json"])
    assert asked.exit_code == 1
    result = json.loads(asked.stdout)
    assert not result["passed"]
    assert result["providers"]["cuda"]["status"] == "not-run"
    assert "CUDA was asked for" in result["providers"]["cuda"]["reason"]
    assert not Bundle.load(bundle).proven("cuda")
    # Not asked for, it is said and does no harm; and the earlier result of another provider stays.
    both = run(main, ["parity", str(bundle), str(blockset_8), "--limit", "20"])
    assert both.exit_code == 0, both.output
    assert "cuda-strict: not-run" in both.stdout
    again = run(main, ["parity", str(bundle), str(blockset_8), "--provider", "cuda", "--limit", "20"])
    assert again.exit_code == 1
    assert "CUDA was asked for" in again.output
    assert Bundle.load(bundle).proven("cpu")


def test_the_command_line(bundle: Path, blockset_8: Path) -> None:
    run = CliRunner().invoke
    base = ["parity", str(bundle), str(blockset_8), "--provider", "cpu", "--limit", "20"]
    done = run(main, [*base, "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["providers"]["cpu"]["status"] == "passed"
    assert run(main, [*base, "--selftest"]).stdout.endswith("PASSED\n")
    train = run(main, [*base, "--split", "train"])
    assert train.exit_code == 1
    assert "the model was trained on it" in train.output
    assert run(main, [*base, "--provider", "abacus"]).exit_code == 2
