"""The benchmarks of training still run, and compare what they say."""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from support.places import ROOT

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(autouse=True)
def same_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither threads nor modules of the benchmarks stay behind."""
    before, modules = torch.get_num_threads(), set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    torch.set_num_threads(before)
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]


def rows(module: Any, *words: str) -> list[list[str]]:
    run = CliRunner().invoke(module.main, words)
    assert run.exit_code == 0, run.output
    table = [line.strip("| ").split(" | ") for line in run.stdout.splitlines() if line.startswith("|")]
    return [row for row in table if not row[0].startswith(("---", "backbone"))]


@pytest.mark.long
def test_our_loop_is_timed_beside_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("training")
    monkeypatch.setitem(module.BLOCKS, "small", 256)
    monkeypatch.setattr(module, "FROZEN_EPOCHS", 1)
    found = rows(module, "--backbone", "small", "--rounds", "1")
    assert [row[0] for row in found[:2]] == ["small, flips", "small, none"]
    assert all(float(cell.split()[0].replace(",", "")) > 0 for row in found for cell in row[1:])


def test_every_option_is_timed_beside_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("execution")
    monkeypatch.setitem(module.CALLS, "small", 1)
    found = rows(module, "--backbone", "small", "--rounds", "2")
    expected = list(module.OPTIONS)
    assert [row[1] for row in found if row[0] == "small"][: len(expected)] == expected
    assert found[0][3].startswith("1 (1–1)")


def test_a_large_set_is_measured_to_its_end(tmp_path: Path) -> None:
    memory, synthetic = importlib.import_module("memory"), importlib.import_module("synthetic")
    synthetic.write_noise(tmp_path / "data", 300, 70, bit_depth=10)
    found = memory.inside(tmp_path, tmp_path / "data", "small", 2)
    assert found["GiB, evaluated"] >= found["GiB, loaded"] > 0
    assert found["s, until evaluated"] > found["s, load"] > 0
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
