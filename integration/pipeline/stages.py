"""The stages of a cascade: how they are asked, and how their answers combine into one class a block."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from toolkit.data.blockset import Luma
from toolkit.errors import ToolkitError
from toolkit.partition import STAGES, stage_of
from toolkit.windows import Window, centre

CHILDREN = {("1", "PARTITION"): "2", ("2", "RECT"): "3-rect", ("2", "AB"): "3-ab"}
"""From a class of a stage to the stage that takes it apart."""


def check_stages(stages: Collection[str]) -> None:
    """Raise ToolkitError unless these stages make a cascade."""
    if "2" not in stages or not set(stages) <= set(STAGES):
        raise ToolkitError(
            f"Stages {', '.join(stages) or 'none'}: expected Stage 2, alone or with any of 1, 3-rect and 3-ab."
        )


class StageModel(Protocol):
    """One stage's model: `export.graph.runtime.RuntimeModel`, or a stand-in that answers from labels."""

    @property
    def window(self) -> Window:
        """The node that it decides about, and the surroundings that it looks at."""

    def logits(self, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, classes) of raw luma code values (N, 1, S, S), S the window's size, at qindex (N,)."""


@dataclass(frozen=True)
class Cascade:
    """Stages asked about the same nodes, a model each by stage key: Stage 2, alone or with Stage 1 and Stages 3.

    They take windows of the largest context among them; a stage of less context sees the middle. Raises ToolkitError on
    an unknown stage, where Stage 2 is missing, and on stages that decide about nodes of different sizes.
    """

    models: Mapping[str, StageModel]

    def __post_init__(self) -> None:
        check_stages(self.windows)
        nodes = {stage: window.node for stage, window in self.windows.items()}
        if len(set(nodes.values())) > 1:
            listed = ", ".join(f"Stage {stage} {side}x{side}" for stage, side in nodes.items())
            raise ToolkitError(f"Cascade: {listed} nodes. Expected stages of one size; a pipeline each for others.")

    @property
    def windows(self) -> dict[str, Window]:
        """The node and the surroundings that each stage looks at."""
        return {stage: model.window for stage, model in self.models.items()}

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
        """Probabilities (N, classes) of all blocks, by stage, from windows (N, 1, S, S) at qindex (N,).

        Raises ToolkitError on other windows, and where a model gives no finite numbers.
        """
        return {stage: self.probabilities(stage, luma, qindex) for stage in self.stages}
