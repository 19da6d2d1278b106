"""The cascade: stages asked in turn, their decisions joined into one class a block."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from integration.pipeline.policy import Ask
from toolkit.data.blockset import Luma
from toolkit.errors import ToolkitError
from toolkit.partition import STAGES
from toolkit.windows import Window, centre

CHILDREN = {("1", "PARTITION"): "2", ("2", "RECT"): "3-rect", ("2", "AB"): "3-ab"}
"""Which stage takes a class of another stage apart."""


def check_stages(stages: Collection[str]) -> None:
    """Raise ToolkitError unless these stages make a cascade."""
    if "2" not in stages or not set(stages) <= set(STAGES):
        raise ToolkitError(
            f"Stages {', '.join(stages) or 'none'}: expected Stage 2, alone or with any of 1, 3-rect and 3-ab."
        )


class StageModel(Protocol):
    """What a stage is asked: `export.graph.runtime.RuntimeModel`, or a stand-in that answers from labels."""

    @property
    def window(self) -> Window:
        """The node that it decides about, and what it takes of its surroundings."""

    def logits(self, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, classes) of raw luma code values (N, 1, S, S), S the window's size, at qindex (N,)."""


@dataclass(frozen=True)
class Cascade:
    """Stage models by stage key. Stage 2 has to be there; Stage 1 above and Stages 3 below it may be.

    It takes windows of its stages' largest context; a stage of less context sees the middle of them.

    Raises ToolkitError on an unknown stage, where Stage 2 is missing, and on stages that decide about nodes of
    different sizes.
    """

    models: Mapping[str, StageModel]

    def __post_init__(self) -> None:
        check_stages(self.models)
        nodes = {stage: model.window.node for stage, model in self.models.items()}
        if len(set(nodes.values())) > 1:
            listed = ", ".join(f"Stage {stage} {side}x{side}" for stage, side in nodes.items())
            raise ToolkitError(f"Cascade: {listed} nodes. Expected stages of one size; a pipeline each for others.")

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages present, in the order in which a block meets them."""
        return tuple(key for key in STAGES if key in self.models)

    @property
    def window(self) -> Window:
        """What the cascade takes of each node: the window of the stage that sees most of its surroundings."""
        return max((model.window for model in self.models.values()), key=lambda window: window.size)

    @property
    def leaves(self) -> dict[str, tuple[int, ...]]:
        """The classes that the stages tell apart together, each with its AV1 ids.

        Stage 2 alone: its own classes in its order. Otherwise by AV1 id, so that in the whole cascade a class's number
        is its AV1 id.
        """
        if self.stages == ("2",):
            return dict(zip(STAGES["2"].classes, STAGES["2"].groups, strict=True))
        found = {
            name: group
            for key in self.stages
            for name, group in zip(STAGES[key].classes, STAGES[key].groups, strict=True)
            if CHILDREN.get((key, name)) not in self.models
        }
        return dict(sorted(found.items(), key=lambda leaf: leaf[1]))

    def probabilities(self, stage: str, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Softmax of a stage's logits, (N, classes).

        Raises ToolkitError on other windows, and where the model gives no finite numbers.
        """
        model = self.models[stage]
        logits = model.logits(centre(luma, self.window, model.window), qindex).astype(np.float64)
        if not np.isfinite(logits).all():
            raise ToolkitError(f"Stage {stage} gave logits that are no finite numbers. Export and prove it again.")
        powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return result

    def every(self, luma: Luma, qindex: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        """Each stage's `probabilities` of all blocks, by stage."""
        return {stage: self.probabilities(stage, luma, qindex) for stage in self.stages}

    def asker(self, luma: Luma, qindex: NDArray[np.uint8]) -> Ask:
        """What a policy asks about these blocks; each stage then runs on those alone for which it is asked."""

        def ask(stage: str, index: NDArray[np.int64]) -> NDArray[np.float64] | None:
            if stage not in self.models:
                return None
            return self.probabilities(stage, luma[index], qindex[index])

        return ask

    def join(self, decisions: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """Leaf numbers (N,) from each stage's class numbers (N,), followed from the first stage down.

        Of true labels (`Stage.targets`) it gives the true leaf, of predictions the cascade's answer.
        """
        number = {name: i for i, name in enumerate(self.leaves)}
        first = self.stages[0]
        result = np.full(len(decisions[first]), -1, np.int64)

        def descend(stage: str, index: NDArray[np.int64]) -> None:
            for k, name in enumerate(STAGES[stage].classes):
                chosen = index[decisions[stage][index] == k]
                child = CHILDREN.get((stage, name))
                if child in self.models:
                    descend(str(child), chosen)
                else:
                    result[chosen] = number[name]

        descend(first, np.arange(len(result)))
        return result
