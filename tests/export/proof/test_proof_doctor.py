"""The doctor: no GPU is no problem, an unusable one is, and each thing in its way is named with what mends it."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from support.gpu import NO_CUDA

import export.proof.doctor
from export.graph import webgpu
from export.proof.doctor import Driver, Libraries, conflicts, examine, find_libraries, mismatches
from toolkit.cli.main import main

GPU = Driver(True, (13, 0), ("Some GPU",))
FITTING = Libraries({"onnxruntime-gpu": "1.31"}, "2.15", torch_cuda=13, torch_cudnn=9, ort_cuda=13, ort_cudnn=9)


@pytest.fixture(autouse=True)
def no_webgpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """WebGPU is told apart: tests/export/graph/test_graph_webgpu.py."""
    monkeypatch.setattr(webgpu, "installed", lambda: False)


@pytest.fixture
def probes_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export.proof.doctor, "_probe", lambda what: {"error": ""})


def test_what_fits_has_no_problem() -> None:
    assert mismatches(GPU, FITTING) == conflicts(FITTING) == []
    assert mismatches(replace(GPU, cuda=(14, 1)), FITTING) == []  # a newer driver serves older libraries


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"torch_cuda": 12}, ["PyTorch brings CUDA 12, ONNX Runtime is built for CUDA 13"]),
        ({"torch_cudnn": 8}, ["PyTorch brings cuDNN 8, ONNX Runtime is built for cuDNN 9"]),
        ({"torch_cuda": 0, "torch_cudnn": 0}, ["a build without CUDA"]),
        ({"ort_cuda": 0}, ["has no CUDA provider"]),
        ({"runtimes": {"onnxruntime": "1.31"}}, ["has no CUDA provider"]),
        (
            {"torch_cuda": 14, "ort_cuda": 14},
            ["PyTorch is built for CUDA 14, the driver", "Runtime is built for CUDA 14"],
        ),
    ],
)
def test_each_mismatch_is_named(change: dict[str, object], found: list[str]) -> None:
    problems = mismatches(GPU, replace(FITTING, **change))
    assert len(problems) == len(found)
    assert all(expected in problem for expected, problem in zip(found, problems, strict=True))


def test_both_runtimes_at_once_are_named(probes_pass: None) -> None:
    both = replace(FITTING, runtimes={"onnxruntime": "1.30", "onnxruntime-gpu": "1.31"})
    with_gpu = examine(lambda: GPU, lambda: both)
    assert not with_gpu["ok"]
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in with_gpu["problems"][0]
    without = examine(lambda: Driver(False), lambda: both)
    assert without["ok"]
    assert "both installed" in without["warnings"][0]
    assert "No ONNX Runtime" in conflicts(replace(FITTING, runtimes={}))[0]


def test_a_gpu_counts_only_after_a_real_run(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"torch": {"error": ""}, "onnxruntime": {"error": "libcudnn.so.9 is missing"}}
    monkeypatch.setattr(export.proof.doctor, "_probe", lambda what: answers[what])
    result = examine(lambda: GPU, lambda: FITTING)
    assert not result["ok"]
    assert result["problems"] == ["onnxruntime: libcudnn.so.9 is missing"]
    answers["onnxruntime"] = {"error": ""}
    assert examine(lambda: GPU, lambda: FITTING)["ok"]


def test_a_driver_that_does_not_answer_is_a_problem_and_is_not_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export.proof.doctor, "_probe", lambda what: pytest.fail("probed"))
    result = examine(lambda: Driver(True, problem="CUDA error 803"), lambda: FITTING)
    assert (result["ok"], result["problems"]) == (False, ["CUDA error 803"])


def test_the_exit_code_says_whether_a_gpu_is_unusable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export.proof.doctor, "find_driver", lambda: Driver(True, (12, 4), problem="CUDA error 803"))
    broken = CliRunner().invoke(main, ["doctor"])
    assert broken.exit_code == 1
    assert "PROBLEM: CUDA error 803" in broken.stdout
    assert "NOT usable" in broken.stdout
    monkeypatch.setattr(export.proof.doctor, "find_driver", lambda: Driver(False))
    fine = CliRunner().invoke(main, ["doctor", "--json"])
    assert fine.exit_code == 0
    assert json.loads(fine.stdout)["gpu"] is False


@pytest.mark.skipif(not NO_CUDA, reason="this machine has CUDA")
def test_this_machine_s_probes_say_that_there_is_no_gpu() -> None:
    assert "finds no usable GPU" in export.proof.doctor._probe("torch")["error"]
    assert "CUDA was asked for" in export.proof.doctor._probe("onnxruntime")["error"]
    assert CliRunner().invoke(main, ["doctor"]).stdout.endswith("no GPU here\n")


def test_the_libraries_say_their_majors() -> None:
    found = find_libraries()
    assert found.ort_cuda >= 12
    assert found.ort_cudnn >= 9
    assert "onnxruntime-gpu" in found.runtimes
