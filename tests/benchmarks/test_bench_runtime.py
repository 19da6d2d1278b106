"""benchmarks/runtime.py still runs, and compares what it says."""

import importlib.util
from collections.abc import Iterator

import pytest
import torch
from click.testing import CliRunner
from support.gpu import NO_CUDA
from support.places import ROOT


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.long
def test_every_side_is_timed_in_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    spec = importlib.util.spec_from_file_location("runtime", ROOT / "benchmarks" / "runtime.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    common = ["--backbone", "small", "--threads", "1", "--batch", "3", "--repeats", "2"]
    run = CliRunner().invoke(module.main, [*common, "--no-compile"])
    assert run.exit_code == 0, run.output
    table = [line.strip("| ").split(" | ") for line in run.stdout.splitlines()[2:]]
    rows, on_cuda = [r for r in table if "CUDA" not in r[0]], [r for r in table if "CUDA" in r[0]]
    assert [row[2] for row in rows] == ["ONNX Runtime", "PyTorch eager", "ONNX Runtime, IO binding"]
    assert on_cuda[0][2] == "ONNX Runtime, IO binding"
    assert on_cuda[0][3].startswith("not run: no CUDA") == NO_CUDA
    assert rows[0][4].startswith("1.00 (1.00–1.00)")
    assert all(float(row[3].split()[0]) > 0 for row in rows)
    run = CliRunner().invoke(module.main, [*common, "--options"])
    assert run.exit_code == 0, run.output
    assert len(run.stdout.splitlines()) == 2 + 1 + len(module.OPTIONS)
