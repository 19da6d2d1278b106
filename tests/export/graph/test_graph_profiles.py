"""Profiles: what each may prove, that strict is strict, and that what is not there reads not run."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from onnx import TensorProto
from support.gpu import NO_CUDA

from export.bundle.bundle import Bundle
from export.compare.budget import budget_of
from export.compare.gpu_budget import set_budget_on_gpu
from export.graph.float16 import as_float16
from export.graph.profiles import PROFILES, Profile, check_strict, profile_of, unfit
from export.graph.runtime import OPTIONS, ProviderUnavailable, RuntimeModel
from export.proof.config import ParityConfig
from export.proof.prove import prove
from export.proof.worker import work
from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError


@pytest.mark.parametrize("name", [p.name for p in PROFILES.values() if p.strict])
def test_a_strict_profile_is_strict_as_it_stands(name: str) -> None:
    profile = PROFILES[name]
    switches = {k: v for k, v in (profile.environment or {}).items() if v is not None}
    check_strict(profile, {**OPTIONS[profile.provider], **profile.options}, switches)
    with pytest.raises(ToolkitError, match="NVIDIA_TF32_OVERRIDE is unset"):
        check_strict(profile, {**OPTIONS[profile.provider], **profile.options}, {})
    with pytest.raises(ToolkitError, match="NVIDIA_TF32_OVERRIDE is 1"):
        check_strict(profile, {}, {"NVIDIA_TF32_OVERRIDE": "1"})


@pytest.mark.parametrize("options", [{}, {"use_tf32": "1"}])
def test_a_strict_session_that_allows_tf32_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ToolkitError, match="it would compute in TF32"):
        check_strict(PROFILES["cuda-strict"], options, {"NVIDIA_TF32_OVERRIDE": "0"})
    check_strict(PROFILES["cuda-tf32"], options, {})
    with pytest.raises(ToolkitError, match="float16"):
        check_strict(PROFILES["tensorrt"], {"trt_fp16_enable": "1"}, {"NVIDIA_TF32_OVERRIDE": "0"})


def test_only_the_profile_of_its_own_precision_fits_a_bundle() -> None:
    assert [n for n, p in PROFILES.items() if not unfit(p, int8=True)] == ["cpu-int8"]
    assert [n for n, p in PROFILES.items() if unfit(p, int8=False)] == ["cpu-int8"]
    for int8 in (False, True):
        for provider in ("cpu", "cuda"):
            assert PROFILES[profile_of(provider, int8=int8)].proves == provider


def test_unknown_names_are_refused() -> None:
    for wrong in ({"profiles": ("cpu-fp64",)}, {"providers": ("tensorrt",)}):
        with pytest.raises(ToolkitError, match="expected one of"):
            ParityConfig(**wrong)


@pytest.mark.numeric
def test_float16_copies_compute_in_float16_within_the_contract(exported: Path, blockset_8: Path) -> None:
    bundle = Bundle.load(exported)
    half = as_float16(bundle.model_bytes())
    kinds = {t.data_type for t in onnx.load_model_from_string(half).graph.initializer if len(t.dims) > 1}
    assert TensorProto.FLOAT16 in kinds
    assert TensorProto.FLOAT not in kinds
    blocks = BlockSet.load(blockset_8).split_blocks("test", "2")
    full = bundle.session().logits(blocks.luma, blocks.qindex)
    error = np.abs(RuntimeModel(half, bundle.contract).logits(blocks.luma, blocks.qindex) - full).max()
    assert 1e-5 < error < 0.1


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("precision", ["tf32", "float16"])
def test_a_budget_of_reduced_precision_needs_a_gpu(exported: Path, precision: str) -> None:
    checkpoint = Bundle.load(exported).checkpoint()
    with pytest.raises(ProviderUnavailable, match="finds no GPU"):
        set_budget_on_gpu(checkpoint.model, checkpoint.calibration, precision)


def test_a_budget_is_not_set_from_nan() -> None:
    with pytest.raises(ToolkitError, match="no budget can be set"):
        budget_of(np.full((2, 3), np.nan, np.float32), np.ones((2, 3)))


@pytest.mark.skipif(not NO_CUDA, reason="this machine has CUDA")
def test_profiles_that_are_not_there_read_not_run(exported: Path, blockset_8: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    asked = ["cuda-tf32", "cuda-fp16", "tensorrt"]
    options = [word for name in asked for word in ("--profile", name)]
    run = CliRunner().invoke(main, ["parity", str(bundle), str(blockset_8), *options, "--limit", "9", "--json"])
    assert run.exit_code == 1
    result = json.loads(run.stdout)
    assert {n: r["status"] for n, r in result["profiles"].items()} == {
        "cpu-fp32": "passed",  # the graph itself is always checked, in strict float32
        **dict.fromkeys(asked, "not-run"),
    }
    assert list(result["providers"]) == ["cpu"]
    opened = Bundle.load(bundle)
    assert opened.proven("cpu")
    assert not opened.proven("cuda")


def test_a_damaged_graph_fails_whatever_profile_was_asked(
    exported: Path, blockset_8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    real = RuntimeModel.one_call
    monkeypatch.setattr(RuntimeModel, "one_call", lambda s, x, q: real(s, x, q) * np.float32(1.001))
    result = prove(bundle, blockset_8, ParityConfig(profiles=("tensorrt",), limit=9, batches=(64,)))
    assert result["profiles"]["cpu-fp32"]["status"] == "failed"
    assert not result["passed"]


def test_a_process_checks_that_it_is_strict(
    exported: Path, blockset_8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import export.proof.worker

    blocks = BlockSet.load(blockset_8).split_blocks("test", "2", limit=3)
    np.savez(tmp_path / "inputs.npz", luma=blocks.luma, qindex=blocks.qindex)
    np.savez(tmp_path / "whole.npz")
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)

    class OnCpu(RuntimeModel):
        """A session with a GPU's options, as far as this machine can have one."""

        def __init__(self, model, contract, provider, options) -> None:  # type: ignore[no-untyped-def]
            super().__init__(model, contract)
            self.provider_options = dict(options)

    monkeypatch.setattr(export.proof.worker, "RuntimeModel", OnCpu)

    def answer(profile: Profile) -> dict[str, object]:
        job = {"bundle": str(exported), "profile": asdict(profile), "batches": [2]}
        (tmp_path / "job.json").write_text(json.dumps(job))
        return work(tmp_path)

    strict = PROFILES["cuda-strict"]
    assert "NVIDIA_TF32_OVERRIDE is unset" in str(answer(strict)["error"])
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert answer(strict)["placement"]
    assert "would compute in TF32" in str(answer(replace(strict, options={"use_tf32": "1"}))["error"])
