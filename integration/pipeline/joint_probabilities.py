"""From the stages' conditional probabilities to one distribution over AV1 partition ids, and back."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from integration.pipeline.stages import CHILDREN
from toolkit.partition import NAMES, STAGES

IDS = len(NAMES)


@dataclass(frozen=True)
class Layout:
    """p(id) = weights[id] times the product over stages of p(stage's class columns[stage][id]).

    A column one past a stage's classes stands for 1: the id does not depend on that stage. A class that no stage takes
    apart is spread evenly over its ids. What no stage tells has weight 0: HORZ_4 and VERT_4 always, NONE without
    Stage 1, where all is conditional on the node being partitioned.
    """

    columns: dict[str, tuple[int, ...]]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, stages: Collection[str]) -> "Layout":
        """The layout of a cascade of these stages (Stage 2 and any others)."""
        present = [key for key in STAGES if key in stages]
        columns = {key: [len(STAGES[key].classes)] * IDS for key in present}
        weights = [0.0] * IDS
        for partition in range(IDS):
            stage: str | None = present[0]
            while stage is not None:
                own = STAGES[stage]
                number = next((k for k, group in enumerate(own.groups) if partition in group), None)
                if number is None:
                    break
                columns[stage][partition] = number
                child = CHILDREN.get((stage, own.classes[number]))
                if child in columns:
                    stage = child
                else:
                    weights[partition] = 1.0 / len(own.groups[number])
                    stage = None
        return cls({key: tuple(c) for key, c in columns.items()}, tuple(weights))


def join(by_stage: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Probabilities (N, 10) of the AV1 ids from each stage's (N, classes)."""
    layout = Layout.of(by_stage)
    result = np.tile(np.array(layout.weights), (len(next(iter(by_stage.values()))), 1))
    for stage, p in by_stage.items():
        result *= np.pad(p, ((0, 0), (0, 1)), constant_values=1.0)[:, list(layout.columns[stage])]
    return result


def conditional(joint: NDArray[np.float32] | NDArray[np.float64], stage: str) -> NDArray[np.float64]:
    """A stage's probabilities (N, classes) from those of the AV1 ids (N, 10): `join` undone.

    Even where all the stage's ids have probability 0, below what float32 can hold.
    """
    groups = STAGES[stage].groups
    p = np.stack([joint[:, list(group)].sum(axis=1, dtype=np.float64) for group in groups], axis=1)
    total = p.sum(axis=1, keepdims=True)
    result: NDArray[np.float64] = np.divide(p, total, out=np.full_like(p, 1 / len(groups)), where=total > 0)
    return result
