"""benchmarks/soak.py still runs, and notices what is wrong."""

import importlib
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from support.places import ROOT

import integration.codec.encoder
from integration.codec import encoded_frame
from integration.codec.config import NODE_SIZES as NODES


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    module = importlib.import_module("soak")
    monkeypatch.setattr(
        integration.codec.encoder, "check_masks", integration.codec.encoder.check_masks
    )  # a run takes it away
    return module


SMALL = ["--plain", "--seed", "2", "--cases", "2"]  # 55x56 and 24x43


@pytest.mark.usefixtures("libaom")
def test_a_seed_is_a_case_and_the_count_is_printed(soak: ModuleType) -> None:
    done = CliRunner().invoke(soak.main, SMALL)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == str(soak.Case.draw(2))
    assert "2 cases (seeds 2 to 3), 5 frames" in done.stdout
    assert "leaks were not looked for" in done.stdout


@pytest.mark.usefixtures("libaom")
def test_a_stream_that_decodes_to_something_else_is_wrong(soak: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    real = encoded_frame.read_reconstruction

    def other(*packet: Any) -> np.ndarray:
        pixels = real(*packet)
        pixels[-1, -1] ^= 1
        return pixels

    monkeypatch.setattr(encoded_frame, "read_reconstruction", other)
    done = CliRunner().invoke(soak.main, SMALL)
    assert done.exit_code == 1
    assert "Wrong: AssertionError: frame 0: plane y is not what was decoded" in done.output
    assert done.output.startswith("seed 2: ")


@pytest.mark.usefixtures("libaom")
def test_wrong_labels_of_either_node_size_are_found(soak: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    real = encoded_frame.read_labels

    def other(library: Any, handle: Any, config: Any, node_size: int) -> np.ndarray:
        labels = real(library, handle, config, node_size)
        return labels ^ 1 if node_size == 32 else labels

    monkeypatch.setattr(encoded_frame, "read_labels", other)
    done = CliRunner().invoke(soak.main, SMALL)
    assert "Wrong: AssertionError: frame 0: labels at 32 are not what was decoded" in done.output


def test_drawn_cases_cover_what_they_should_and_stay_bounded(soak: ModuleType) -> None:
    cases = [soak.Case.draw(seed) for seed in range(2000)]
    configs = [case.config for case in cases]
    assert min(c.width for c in configs) == 16
    assert max(c.width for c in configs) > 1800
    assert max(c.height for c in configs) > 1000
    for name, values in {
        "bit_depth": {8, 10}, "cpu_used": set(range(7)), "threads": {1, 2}, "usage": {"good", "allintra"},
        "lag": {0, 2, 20}, "cq": set(range(64)), "four_way": {False, True},
    }.items():  # fmt: skip
        assert {getattr(c, name) for c in configs} == values
    assert {kind for case in cases for kind in case.masks} == {*soak.FREE, *soak.RESTRICTING}
    assert {case.cost_nodes for case in cases} == {(), *((size,) for size in NODES), NODES}
    masks = [case.mask(0) for case in cases[:100]]
    assert {tuple(mask) for mask in masks if mask} == {*((size,) for size in NODES), NODES}
    assert {size for mask in masks if mask for size in mask if mask[size].max() >= 1 << 10} == set(NODES)
    work = [
        len(case.masks) * c.width * c.height / 1e6 * soak.SECONDS_PER_MEGAPIXEL[c.cpu_used]
        for case, c in zip(cases, configs, strict=True)
    ]
    assert max(work) < 12
