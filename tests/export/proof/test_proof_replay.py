"""A proof repeated without PyTorch: the same blocks and budget, on this machine, as it is now."""

import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import apart, cli, message
from support.sealed import write_json

import export.bundle.bundle
import export.bundle.replay
from export.bundle.bundle import Bundle
from export.bundle.quantize import quantize_bundle
from export.bundle.quantize_config import QuantizeConfig
from export.graph.runtime import RuntimeModel
from export.proof.config import ParityConfig
from export.proof.prove import prove
from export.proof.replay import replay
from toolkit.errors import ToolkitError
from toolkit.files import seal, sha256_file

FEW = ParityConfig(limit=40, batches=(1, 7, 64))
NO_TORCH = "import sys\nsys.modules.update(dict.fromkeys(('torch', 'scipy', 'sklearn', 'jinja2', 'onnxscript')))\n"


@pytest.fixture(scope="module")
def proven(exported: Path, blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only bundle, proven on the CPU."""
    bundle = Path(shutil.copytree(exported, tmp_path_factory.mktemp("replay") / "bundle"))
    assert prove(bundle, blockset_8, FEW)["passed"]
    return bundle


@pytest.fixture
def bundle(proven: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(proven, tmp_path / "bundle"))


@pytest.mark.numeric
def test_it_runs_without_pytorch_on_the_blocks_of_the_proof_and_finds_its_figures(bundle: Path) -> None:
    ((_, run),) = apart([("parity", bundle, "--replay", "--json")], prepare=NO_TORCH)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)["profiles"]["cpu-fp32"]
    proof = json.loads((bundle / "parity.json").read_text())["profiles"]["cpu-fp32"]
    for name in ("status", "comparisons", "blocks", "rms", "max", "rms_budget", "max_budget", "flips", "placement"):
        assert result[name] == proof[name], name
    assert list(result["batches"]) == ["1", "7", "64"]
    opened = Bundle.load(bundle)
    assert opened.replays is not None
    assert opened.replays["profiles"]["cpu-fp32"]["versions"]["instruction_set"]
    assert opened.proven("cpu")


@pytest.mark.usefixtures("webgpu_provider")
@pytest.mark.numeric
def test_it_proves_a_provider_that_was_not_there_at_the_proof(bundle: Path) -> None:
    report = json.loads((bundle / "parity.json").read_text())
    report["profiles"]["cpu-fp32"]["batches"] = {"7": report["profiles"]["cpu-fp32"]["batches"]["7"]}  # few shaders
    report["providers"]["cpu"] = report["profiles"]["cpu-fp32"]
    write_json(bundle / "parity.json", seal(report))
    assert not Bundle.load(bundle).proven("webgpu")
    result = replay(bundle, ParityConfig(providers=("webgpu",)))
    assert result["passed"], result
    found = result["profiles"]["webgpu-fp32"]
    assert set(found["placement"]) == {"WebGpuExecutionProvider"}
    assert found["gpu"]["name"]
    opened = Bundle.load(bundle)
    assert opened.proven("webgpu")
    assert opened.proven("cpu"), "by the proof itself"


def test_a_machine_that_computes_wrong_fails_and_the_bundle_is_not_proven_there_any_more(
    bundle: Path, blockset_8: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RuntimeModel.one_call
    with monkeypatch.context() as patch:
        patch.setattr(RuntimeModel, "one_call", lambda s, x, q: real(s, x, q) * np.float32(1.001))
        run = cli("parity", bundle, "--replay")
    assert run.exit_code == 1
    assert "exceeds the budget" in run.stdout
    assert not Bundle.load(bundle).proven("cpu")
    assert replay(bundle, ParityConfig())["passed"]  # and once it computes right again
    assert Bundle.load(bundle).proven("cpu")
    prove(bundle, blockset_8, FEW)  # a proof ends what repeated an earlier one, of the same blocks too
    assert Bundle.load(bundle).replays is None


def test_what_cannot_be_repeated_reads_not_run(bundle: Path) -> None:
    run = cli("parity", bundle, "--replay", "--profile", "cuda-fp16")
    assert run.exit_code == 1
    assert "cuda-fp16: not-run\n    The budget of float16 is PyTorch's own error" in run.stdout
    assert not (bundle / "replay.json").exists()


def test_without_kept_blocks_or_a_proof_that_passed_there_is_nothing_to_repeat(
    exported: Path, proven: Path, bundle: Path
) -> None:
    assert "keeps no blocks of a proof" in message(cli("parity", exported, "--replay"))
    report = json.loads((bundle / "parity.json").read_text())
    report["profiles"]["cpu-fp32"]["status"] = report["providers"]["cpu"]["status"] = "failed"
    write_json(bundle / "parity.json", seal(report))
    assert "did not pass in cpu-fp32" in message(cli("parity", bundle, "--replay"))
    assert cli("parity", proven, "data", "--replay").exit_code == 2
    assert cli("parity", proven).exit_code == 2


@pytest.mark.parametrize("name", ["proof.npz", "replay.json"])
def test_a_changed_file_is_refused(bundle: Path, name: str) -> None:
    assert replay(bundle, ParityConfig())["passed"]
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(ToolkitError, match=name.replace(".", r"\.")):
        Bundle.load(bundle)
    (bundle / name).unlink()
    if name == "proof.npz":
        with pytest.raises(ToolkitError, match=r"proof\.npz: missing"):
            Bundle.load(bundle)
    else:
        assert Bundle.load(bundle).proven("cpu")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a.pop("reference"), "expected"),
        (lambda a: a.update(reference=a["reference"][:, :2]), "logits"),
        (lambda a: a.update(luma=a["luma"].astype(np.float32)), "luma"),
        (lambda a: a.update({name: array[:0] for name, array in a.items()}), "0 blocks"),
    ],
)
def test_kept_blocks_sealed_again_that_do_not_fit_are_refused(bundle: Path, change: Any, said: str) -> None:
    with np.load(bundle / "proof.npz") as found:
        arrays = dict(found)
    change(arrays)
    np.savez_compressed(bundle / "proof.npz", **arrays)
    report = json.loads((bundle / "parity.json").read_text())
    report["proof_npz_sha256"] = sha256_file(bundle / "proof.npz")
    write_json(bundle / "parity.json", seal(report))
    with pytest.raises(ToolkitError, match=said):
        replay(bundle, ParityConfig())


def test_of_many_large_blocks_only_some_are_kept(
    exported: Path, blockset_8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    monkeypatch.setattr(export.bundle.replay, "MOST_BYTES", 10 * 256)
    prove(bundle, blockset_8, ParityConfig(limit=40, batches=(7,)))
    assert replay(bundle, ParityConfig())["blocks"] == 10


@pytest.mark.numeric
def test_int8_is_judged_by_its_decisions(proven: Path, make_blockset: Any, tmp_path: Path) -> None:
    data = make_blockset(tmp_path / "data", splits={"train": 3, "val": 2, "test": 6})
    eight = quantize_bundle(proven, data, tmp_path / "eight", QuantizeConfig(limit=200)).path
    first = prove(eight, data, ParityConfig(limit=300, batches=(1, 64)))["profiles"]["cpu-int8"]
    if first["status"] == "passed":
        found = replay(eight, ParityConfig())["profiles"]["cpu-int8"]
        assert found["noninferiority"] == first["noninferiority"]
        assert found["status"] == "passed"
    else:
        with pytest.raises(ToolkitError, match="did not pass in cpu-int8"):
            replay(eight, ParityConfig())


def test_a_bundle_from_another_kind_of_cpu_is_opened_with_the_command_that_proves_it_here(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "av1part")
    monkeypatch.setattr(export.bundle.bundle, "instruction_set", lambda: "Arm")
    Bundle.load(bundle).session()
    (said,) = [record.getMessage() for record in caplog.records]
    assert "proven on another kind of CPU (" in said
    assert f"Prove it here: av1part parity {bundle} --replay." in said
    monkeypatch.setattr("export.proof.replay.instruction_set", lambda: "Arm")
    replay(bundle, ParityConfig())
    caplog.clear()
    Bundle.load(bundle).session()
    assert caplog.records == []
    assert "torch" in sys.modules  # here; the first test runs where it is not
