"""Deployments: a healthy graph passes in all of them, and an optimisation that breaks it is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import export.compare.deployments
from export.bundle.bundle import Bundle
from export.compare.budget import reference_logits, set_budget
from export.compare.deployments import run_deployments, with_deployments
from export.compare.verdict import Budget
from export.graph.deployment import DEPLOYMENTS, LEVELS, Deployment
from export.graph.runtime import open_deployed, optimisations
from toolkit.data.blockset import Blocks, BlockSet


@pytest.fixture(scope="module")
def case(exported: Path, blockset_8: Path) -> tuple[bytes, Blocks, np.ndarray, Budget]:
    bundle, blocks = Bundle.load(exported), BlockSet.load(blockset_8).split_blocks("test", "2", limit=70)
    checkpoint = bundle.checkpoint()
    budget, _ = set_budget(checkpoint.model, checkpoint.calibration)
    return bundle.model_bytes(), blocks, reference_logits(checkpoint.model, blocks), budget


@pytest.mark.numeric
def test_a_healthy_graph_passes_in_every_deployment(case: tuple[bytes, Blocks, np.ndarray, Budget]) -> None:
    model, blocks, reference, budget = case
    found = run_deployments(model, blocks.inputs, reference, budget)
    assert list(found) == [deployed.name for deployed in DEPLOYMENTS]
    assert [result["reason"] for result in found.values()] == [""] * len(DEPLOYMENTS)
    assert all(0 < result["max"] <= budget.max for result in found.values())
    passed = with_deployments({"status": "passed", "reason": ""}, found)
    assert (passed["status"], passed["deployments"]) == ("passed", found)


def test_levels_really_differ(case: tuple[bytes, Blocks, np.ndarray, Budget]) -> None:
    changed = [optimisations(case[0], Deployment("", level)) for level in LEVELS]
    assert changed[0] == []
    assert "ConvActivationFusion" in changed[2]
    assert len(changed[3]) >= len(changed[2]) > 0


@pytest.mark.parametrize("level", ["extended", "all"])
def test_the_optimisation_that_breaks_a_graph_is_named(
    case: tuple[bytes, Blocks, np.ndarray, Budget], level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is made to break it: from a level on, every session is wrong but where that optimisation is left out."""
    model, blocks, reference, budget = case
    guilty = optimisations(model, Deployment("", level))[-1]

    class Wrong:
        def __init__(self, session: Any) -> None:
            self.session = session

        def run(self, names: Any, feed: Any) -> list[np.ndarray]:
            return [logits * np.float32(1.01) for logits in self.session.run(names, feed)]

    def opened(model: bytes, deployed: Deployment, without: str = "") -> Any:
        session = open_deployed(model, deployed, without)
        broken = LEVELS.index(deployed.level) >= LEVELS.index(level) and without != guilty
        return Wrong(session) if broken else session

    monkeypatch.setattr(export.compare.deployments, "open_deployed", opened)
    found = run_deployments(model, blocks.inputs, reference, budget)
    below = LEVELS[LEVELS.index(level) - 1]
    assert not found[f"optimisation {below}"]["reason"]
    said = found[f"optimisation {level}"]["reason"]
    assert "exceeds the budget" in said
    assert f"(level {below} passes, and {level} does without {guilty})" in said
    failed = with_deployments({"status": "passed", "reason": ""}, found)
    assert failed["status"] == "failed"
    assert f"optimisation {level}: " in failed["reason"]
