"""Whether a graph stays within its budget in every deployment on the CPU, and which optimisation breaks it."""

from itertools import pairwise
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from export.compare.verdict import Budget, compare
from export.graph.deployment import DEPLOYMENTS, LEVELS, Deployment
from export.graph.runtime import open_deployed, optimisations, run_session
from toolkit.data.blockset import Inputs

BLOCKS, BATCH = 256, 64


class DeploymentResult(TypedDict):
    """Errors in one deployment; `reason`: why it fails, empty where it passes."""

    rms: float
    max: float
    flips: int
    reason: str


def run_deployments(
    model: bytes, inputs: Inputs, reference: NDArray[np.float64], budget: Budget
) -> dict[str, DeploymentResult]:
    """Compare up to BLOCKS blocks with float64 in every deployment, by its name.

    A failure that a lower level does not have names the optimisation without which the graph passes.
    """
    rows = np.unique(np.linspace(0, len(reference) - 1, min(BLOCKS, len(reference))).astype(np.int64))
    part, exact = tuple(values[rows] for values in inputs), reference[rows]
    found = {deployed.name: _judge(model, deployed, part, exact, budget) for deployed in DEPLOYMENTS}
    for below, level in pairwise(LEVELS):
        broken, sound = found[f"optimisation {level}"], found[f"optimisation {below}"]
        if broken["reason"] and not sound["reason"]:
            guilty = _guilty(model, Deployment("", level), part, exact, budget)
            without = f"{level} does without {guilty}" if guilty else f"no single optimisation of {level} is to blame"
            broken["reason"] += f" (level {below} passes, and {without})"
    return found


def with_deployments(verdict: dict[str, Any], found: dict[str, DeploymentResult]) -> dict[str, Any]:
    """The verdict with `deployments`; failed where one of them fails."""
    failing = [f"{name}: {result['reason']}" for name, result in found.items() if result["reason"]]
    if failing:
        verdict = verdict | {"status": "failed", "reason": "; ".join(filter(None, [verdict["reason"], *failing]))}
    return {**verdict, "deployments": found}


def _judge(
    model: bytes, deployed: Deployment, inputs: Inputs, exact: NDArray[np.float64], budget: Budget, without: str = ""
) -> DeploymentResult:
    session = open_deployed(model, deployed, without)
    parts = [tuple(values[start : start + BATCH] for values in inputs) for start in range(0, len(exact), BATCH)]
    logits = np.concatenate([run_session(session, ["logits"], *part)[0] for part in parts])
    verdict = compare(logits, exact, budget)
    return {
        "rms": verdict["rms"],
        "max": verdict["max"],
        "flips": verdict["flips"],
        "reason": ", ".join(verdict["reasons"]),
    }


def _guilty(model: bytes, deployed: Deployment, inputs: Inputs, exact: NDArray[np.float64], budget: Budget) -> str:
    """Name of the first optimisation without which the graph passes at this level; empty where there is none."""
    passes = optimisations(model, deployed)
    return next((name for name in passes if not _judge(model, deployed, inputs, exact, budget, name)["reason"]), "")
