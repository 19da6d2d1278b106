"""Scores of a cascade on labelled blocks: where it is right, which stage errs, and what trivial predictors get."""

from typing import Any, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from integration.pipeline.config import EvalConfig
from integration.pipeline.inference import infer
from integration.pipeline.policy import Ask, Policy, answers, bits
from integration.pipeline.stages import Cascade
from toolkit.data.blockset import BlockSet
from toolkit.data.info import LABELS
from toolkit.errors import ToolkitError
from toolkit.metrics import Baselines, ConstantScores, baselines, classification_metrics, flat_f1
from toolkit.partition import HORZ_4, STAGES, partitions_of, stage_of


class StageScores(TypedDict):
    """`classification_metrics` of one stage on the blocks that it classifies, whatever the stages above decided."""

    blocks: int
    accuracy: float
    macro_f1: float
    per_class: dict[str, dict[str, float]]
    confusion: list[list[int]]
    best_constant: ConstantScores


class PolicyEffect(TypedDict):
    """Shares: of blocks with anything removed, of partitions removed, of blocks whose true partition was removed."""

    restricted: float
    removed: float
    true_removed: float


class Scores(TypedDict):
    """Scores of a pipeline; JSON-ready. Beside these keys, each class has its F1 under its own name (`ab_f1`).

    `accuracy` to `confusion` are `classification_metrics` over `classes`. `baselines` are fitted on the train split if
    it has such blocks. `left_out` counts, by label, the split's blocks that are in no class. `errors_by_stage` counts
    the blocks at the first stage that got them wrong.
    """

    split: str
    blocks: int
    classes: list[str]
    accuracy: float
    macro_f1: float
    per_class: dict[str, dict[str, float]]
    confusion: list[list[int]]
    baselines: Baselines
    left_out: dict[str, int]
    stages: dict[str, StageScores]
    errors_by_stage: dict[str, int]
    policy: PolicyEffect


def score_pipeline(cascade: Cascade, policy: Policy, data: BlockSet, config: EvalConfig) -> Scores:
    """Score a cascade and its policy on a split of a data set.

    The classes are the cascade's leaves: with Stage 2 alone its three classes, in a whole cascade the AV1 ids 0 to 7.
    Raises ToolkitError where the split has no block of any class.
    """
    ids = sorted(i for group in cascade.leaves.values() for i in group)
    everything = data.split_index(config.split)
    partition = data.blocks["partition"]
    index = everything[np.isin(partition[everything], ids)]
    if not len(index):
        raise ToolkitError(f"{data.path}: the {config.split} split has no block of {', '.join(cascade.leaves)}.")
    if config.limit is not None and config.limit < len(index):
        index = np.sort(np.random.default_rng(config.seed).choice(index, config.limit, replace=False))
    true_ids = partition[index]
    targets = {stage: STAGES[stage].targets(true_ids) for stage in cascade.stages}
    probabilities, flatness, _ = infer(cascade, data, index)
    decisions = {stage: p.argmax(axis=1) for stage, p in probabilities.items()}
    classes = tuple(cascade.leaves)
    truth = cascade.join(targets)
    metrics = classification_metrics(truth, cascade.join(decisions), classes)
    scores = {
        "split": config.split,
        "blocks": len(index),
        "classes": list(classes),
        **metrics,
        **flat_f1(metrics),
        "baselines": baselines(_train_leaves(cascade, data, ids, truth), truth, classes),
        "left_out": _left_out(data, config.split, ids),
        "stages": _by_stage(targets, decisions, cascade.window.node),
        "errors_by_stage": _errors_by_stage(targets, decisions),
        "policy": _policy_effect(policy, answers(probabilities), flatness, data.blocks[index], data.node),
    }
    return cast("Scores", scores)  # a TypedDict cannot name the F1 of each class


def _train_leaves(cascade: Cascade, data: BlockSet, ids: list[int], otherwise: NDArray[np.int64]) -> NDArray[np.int64]:
    """Leaves of the train split, on which constant predictors are fitted; `otherwise` where it has no such block."""
    in_train = np.array([s["split"] == "train" for s in data.sources])[data.blocks["source"]]
    partition = data.blocks["partition"][in_train & np.isin(data.blocks["partition"], ids)]
    if not len(partition):
        return otherwise
    return cascade.join({stage: STAGES[stage].targets(partition) for stage in cascade.stages})


def _left_out(data: BlockSet, split: str, ids: list[int]) -> dict[str, int]:
    in_split = np.array([s["split"] == split for s in data.sources])[data.blocks["source"]]
    labels = data.blocks["partition"][in_split & ~np.isin(data.blocks["partition"], ids)]
    values, counts = np.unique(labels, return_counts=True)
    return {LABELS[v]: n for v, n in zip(values.tolist(), counts.tolist(), strict=True)}


def _by_stage(
    targets: dict[str, NDArray[np.int64]], decisions: dict[str, NDArray[np.int64]], node: int
) -> dict[str, StageScores]:
    result: dict[str, StageScores] = {}
    for stage, target in targets.items():
        own = target >= 0
        if own.any():
            classes = stage_of(stage, node).classes
            metrics = classification_metrics(target[own], decisions[stage][own], classes)
            constant = baselines(target[own], target[own], classes)["best_constant"]
            scores = {"blocks": int(own.sum()), **metrics, "best_constant": constant}
            result[stage] = cast("StageScores", scores)
    return result


def _errors_by_stage(targets: dict[str, NDArray[np.int64]], decisions: dict[str, NDArray[np.int64]]) -> dict[str, int]:
    """Blocks counted at the first stage on their true path that decided otherwise; the sum is all wrong blocks."""
    right = np.ones(len(next(iter(targets.values()))), bool)
    result = {}
    for stage, target in targets.items():
        wrong = right & (target >= 0) & (decisions[stage] != target)
        result[stage] = int(wrong.sum())
        right &= ~wrong
    return result


def _policy_effect(
    policy: Policy, ask: Ask, flatness: NDArray[np.float64], rows: NDArray[Any], node: int
) -> PolicyEffect:
    """Effect on blocks of these records, (N,), about whose stages `ask` answers."""
    masks = policy.masks(rows["qindex"], flatness, ask, node)
    possible = partitions_of(node)
    known = np.array([k for k in possible if k < HORZ_4], np.uint16)  # the partitions that the stages know
    return {
        "restricted": float((masks != bits(*possible)).mean()),
        "removed": float(1 - (masks[:, None] >> known & 1).mean()),
        "true_removed": float(((masks >> rows["partition"]) & 1 == 0).mean()),
    }
