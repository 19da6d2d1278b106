"""The stages of a cascade: how they are asked, and how their answers combine into one class a block."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from integration.pipeline.policy import Ask
from toolkit.data.blockset import Luma
from toolkit.errors import ToolkitError
from toolkit.partition import NAMES, STAGES, stage_of
from toolkit.windows import Window, centre

CHILDREN = {("1", "PARTITION"): "2", ("2", "RECT"): "3-rect", ("2", "AB"): "3-ab"}
"""From a class of a stage to the stage that takes it apart."""
IDS = len(NAMES)


def check_stages(stages: Collection[str]) -> None:
    """Raise ToolkitError unless these stages make a cascade."""
    if "2" not in stages or not set(stages) <= set(STAGES):
        raise ToolkitError(
            f"Stages {', '.join(stages) or 'none'}: expected Stage 2, alone or with any of 1, 3-rect and 3-ab."
        )


class Stages(ABC):
    """Stages asked about the same nodes: Stage 2, alone or with Stage 1 above and Stages 3 below it.

    They take windows of the largest context among them. Raises ToolkitError on an unknown stage, where Stage 2 is
    missing, and on stages that decide about nodes of different sizes.
    """

    def __post_init__(self) -> None:
        check_stages(self.windows)
        nodes = {stage: window.node for stage, window in self.windows.items()}
        if len(set(nodes.values())) > 1:
            listed = ", ".join(f"Stage {stage} {side}x{side}" for stage, side in nodes.items())
            raise ToolkitError(f"Cascade: {listed} nodes. Expected stages of one size; a pipeline each for others.")

    @property
    @abstractmethod
    def windows(self) -> Mapping[str, Window]:
        """The node and the surroundings that each stage looks at."""

    @abstractmethod
    def every(self, luma: Luma, qindex: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        """Probabilities (N, classes) of all blocks, by stage, from windows (N, 1, S, S) at qindex (N,).

        Raises ToolkitError on other windows, and where a model gives no finite numbers.
        """

    @abstractmethod
    def asker(self, luma: Luma, qindex: NDArray[np.uint8]) -> Ask:
        """Function through which a policy asks about these blocks; models run only on the blocks asked about."""

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages present, in the order in which a block meets them."""
        return tuple(key for key in STAGES if key in self.windows)

    @property
    def window(self) -> Window:
        """The window to cut around each node: that of the stage that sees most of its surroundings."""
        return max(self.windows.values(), key=lambda window: window.size)

    @property
    def leaves(self) -> dict[str, tuple[int, ...]]:
        """The classes that the stages tell apart together, each with its AV1 ids.

        Stage 2 alone has its own classes in its order. Otherwise they are ordered by AV1 id, so that in a whole cascade
        the number of a class is its AV1 id.
        """
        own = {key: stage_of(key, self.window.node) for key in self.stages}
        if self.stages == ("2",):
            return dict(zip(own["2"].classes, own["2"].groups, strict=True))
        found = {
            name: group
            for key in self.stages
            for name, group in zip(own[key].classes, own[key].groups, strict=True)
            if CHILDREN.get((key, name)) not in self.windows
        }
        return dict(sorted(found.items(), key=lambda leaf: leaf[1]))

    def join(self, decisions: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """Leaf numbers (N,) from each stage's class numbers (N,), followed from the first stage down.

        Given true labels (`Stage.targets`), these are the true leaves; given predictions, the cascade's answers.
        """
        number = {name: i for i, name in enumerate(self.leaves)}
        first = self.stages[0]
        result = np.full(len(decisions[first]), -1, np.int64)

        def descend(stage: str, index: NDArray[np.int64]) -> None:
            for k, name in enumerate(stage_of(stage, self.window.node).classes):
                chosen = index[decisions[stage][index] == k]
                child = CHILDREN.get((stage, name))
                if child in self.windows:
                    descend(str(child), chosen)
                else:
                    result[chosen] = number[name]

        descend(first, np.arange(len(result)))
        return result


class StageModel(Protocol):
    """One stage's model: `export.graph.runtime.RuntimeModel`, or a stand-in that answers from labels."""

    @property
    def window(self) -> Window:
        """The node that it decides about, and the surroundings that it looks at."""

    def logits(self, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, classes) of raw luma code values (N, 1, S, S), S the window's size, at qindex (N,)."""


@dataclass(frozen=True)
class Cascade(Stages):
    """Stages that are a model each, by stage key. A stage of less context sees the middle of the windows."""

    models: Mapping[str, StageModel]

    @property
    def windows(self) -> dict[str, Window]:
        return {stage: model.window for stage, model in self.models.items()}

    def probabilities(self, stage: str, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Softmax of a stage's logits, (N, classes); errors as `every`."""
        model = self.models[stage]
        logits = model.logits(centre(luma, self.window, model.window), qindex).astype(np.float64)
        if not np.isfinite(logits).all():
            raise ToolkitError(f"Stage {stage} gave logits that are no finite numbers. Export and prove it again.")
        powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return result

    def every(self, luma: Luma, qindex: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        return {stage: self.probabilities(stage, luma, qindex) for stage in self.stages}

    def asker(self, luma: Luma, qindex: NDArray[np.uint8]) -> Ask:
        def ask(stage: str, index: NDArray[np.int64]) -> NDArray[np.float64] | None:
            if stage not in self.models:
                return None
            return self.probabilities(stage, luma[index], qindex[index])

        return ask


@dataclass(frozen=True)
class Layout:
    """Table that turns the stages' probabilities into those of AV1 partition ids.

    p(id) = weights[id] times the product over stages of p(stage's class columns[stage][id]).

    A column one past a stage's classes stands for 1: the id does not depend on that stage. A class that no stage takes
    apart is spread evenly over its ids. An id that no stage predicts has weight 0: HORZ_4 and VERT_4 always, the ABs at
    8x8 nodes, and NONE without Stage 1, where all probabilities are conditional on the node being partitioned.
    """

    columns: dict[str, tuple[int, ...]]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, stages: Collection[str], node: int) -> "Layout":
        """Layout of a cascade of these stages, Stage 2 and any others, about nodes of side `node`."""
        present = {key: stage_of(key, node) for key in STAGES if key in stages}
        columns = {key: [len(stage.classes)] * IDS for key, stage in present.items()}
        weights = [0.0] * IDS
        for partition in range(IDS):
            stage: str | None = next(iter(present))
            while stage is not None:
                own = present[stage]
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


def joint_probabilities(by_stage: Mapping[str, NDArray[np.float64]], node: int) -> NDArray[np.float64]:
    """Probabilities (N, 10) of the AV1 ids from each stage's (N, classes), at nodes of side `node`."""
    layout = Layout.of(by_stage, node)
    result = np.tile(np.array(layout.weights), (len(next(iter(by_stage.values()))), 1))
    for stage, p in by_stage.items():
        result *= np.pad(p, ((0, 0), (0, 1)), constant_values=1.0)[:, list(layout.columns[stage])]
    return result


def conditional(joint: NDArray[np.float32] | NDArray[np.float64], stage: str, node: int) -> NDArray[np.float64]:
    """One stage's probabilities (N, classes) from those of the AV1 ids (N, 10): `joint_probabilities` undone.

    Where all ids of the stage have probability 0, below the range of float32, its classes are equally probable.
    """
    groups = stage_of(stage, node).groups
    p = np.stack([joint[:, list(group)].sum(axis=1, dtype=np.float64) for group in groups], axis=1)
    total = p.sum(axis=1, keepdims=True)
    result: NDArray[np.float64] = np.divide(p, total, out=np.full_like(p, 1 / len(groups)), where=total > 0)
    return result
