"""benchmarks/gpu.py: runs to its end with or without a GPU, and what was not run says so."""

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner
from support.gpu import NO_CUDA
from support.places import ROOT

from export.bundle.render import render_html, render_markdown
from export.graph.profiles import PROFILES
from toolkit.files import read_json


@pytest.fixture(scope="module")
def module() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("gpu", ROOT / "benchmarks" / "gpu.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        spec.loader.exec_module(module)
        yield module


@pytest.mark.long
@pytest.mark.skipif(not NO_CUDA, reason="this machine has CUDA")
def test_without_a_gpu_every_line_reads_not_run(
    module: ModuleType, exported: Path, blockset_8: Path, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    section = tmp_path / "gpu.md"
    cuda = [name for name in module.PROFILES if name != "webgpu-fp32"]
    words = [str(blockset_8), str(bundle), "--limit", "20", "--repeats", "1", "-o", str(section)]
    words += [word for name in cuda for word in ("--profile", name)]
    run = CliRunner().invoke(module.main, words)
    assert run.exit_code == 0, run.output
    text = section.read_text()
    assert text.strip() in run.stdout
    assert "| bundle | cpu-fp32 | passed |" in text  # the graph itself is always proven
    for name in cuda:
        rows = [row for row in text.splitlines() if row.startswith(f"| bundle | {name} |")]
        assert [row.count("not run: ") for row in rows] == [1, 1]
    assert f"| bundle | not run: {module.NO_GPU} |" in text
    for line in text.splitlines():
        if line.startswith("| bundle | cpu-fp32"):
            assert "not run" not in line


@pytest.mark.long
@pytest.mark.numeric
@pytest.mark.usefixtures("webgpu_provider")
def test_it_runs_whole_on_webgpu_and_says_on_what(
    module: ModuleType, exported: Path, blockset_8: Path, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    words = [str(blockset_8), str(bundle), "--limit", "9", "--repeats", "1", "--batch", "7", "--profile", "webgpu-fp32"]
    run = CliRunner().invoke(module.main, words)
    assert run.exit_code == 0, run.output
    rows = [row for row in run.stdout.splitlines() if row.startswith("| bundle | webgpu-fp32 |")]
    assert len(rows) == 2
    assert rows[0].startswith("| bundle | webgpu-fp32 | passed")
    device = read_json(bundle / "parity.json")["profiles"]["webgpu-fp32"]["gpu"]
    assert ("GPU provider on a software device" in rows[0]) == (device["kind"] == "software")
    cells = rows[1].split(" | ")
    assert cells[2:4] == ["7", "not offered"]
    assert float(cells[4]) > 0


def test_rows_say_what_was_measured(module: ModuleType) -> None:
    result = {
        "status": "passed", "reason": "", "rms": 1e-4, "ratio": 1.1, "max": 1e-3, "flips": 0, "near_tie_share": 0.01,
        "batch_variance": {"1": 1e-5, "8160": 2e-5}, "budget_assumed": True, "placement": {"CUDAExecutionProvider": 9},
        "repeatability": {"same session": {"equal": True}, "fresh session": {"equal": False, "largest": 1e-6}},
        "gpu": {},
    }  # fmt: skip
    (row,) = module.proof_rows("b", {"cuda-tf32": result})
    assert row[2:] == [
        "passed, budget assumed", "0.0001 (1.10)", "0.001", "0 (1.00%)", "2e-05",
        "same session: to the bit, fresh session: 1e-06", "CUDA 9",
    ]  # fmt: skip
    timed = {"cuda-tf32": {"64": {"bound": 0.5, "unbound": 1.0}, "8160": {"bound": 1.5, "unbound": 4.0}}}
    rows = module.time_rows("b", timed, {"eager": {"8160": 3.0}})
    assert rows[0][2:] == ["64", "0.5", "1", "not run", ""]
    assert rows[1][2:] == ["8160", "1.5", "4", "3 (2.00x)", "met"]
    timed["cuda-tf32"]["8160"]["bound"] = 2.5
    assert module.time_rows("b", timed, {})[1][-1] == "missed"


def test_a_profile_is_timed_as_it_is_run(module: ModuleType, exported: Path) -> None:
    """On the CPU, as far as one process can show it: every batch, with and without binding."""
    found = module.time_profile(exported, "cpu-fp32", 2, (3, 5))
    assert {batch: set(times) for batch, times in found.items()} == {n: {"bound", "unbound"} for n in ("3", "5")}
    assert all(ms > 0 for times in found.values() for ms in times.values())
    run = CliRunner().invoke(module.main, ["x", "x", "--only", "cuda-strict"])
    assert run.exit_code == 1  # no such bundle: a child's error is its parent's "not run"


def test_reports_flag_a_budget_that_is_an_assumption(exported: Path, blockset_8: Path, tmp_path: Path) -> None:
    from export.proof.config import ParityConfig
    from export.proof.prove import prove

    assert {name for name, p in PROFILES.items() if p.budget_assumed} == {
        "cuda-strict", "cuda-tf32", "cuda-fp16", "tensorrt", "webgpu-fp32"
    }  # fmt: skip
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    prove(bundle, blockset_8, ParityConfig(limit=9, batches=(64,), providers=("cpu",)))
    report = read_json(bundle / "parity.json")
    assert "assumption" not in render_markdown(report) + render_html(report)
    report = json.loads(json.dumps(report))
    report["profiles"]["cpu-fp32"]["budget_assumed"] = True
    assert "an assumption" in render_markdown(report)
    assert "an assumption" in render_html(report)
