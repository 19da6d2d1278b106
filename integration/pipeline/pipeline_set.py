"""Pipelines for nodes of different sizes, asked about a frame together: the larger nodes first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from integration.codec.encoder import Mask
from integration.pipeline.pipeline import Pipeline, check_learnt_alike
from integration.pipeline.policy import bits
from toolkit.data.blockset import Luma
from toolkit.errors import ToolkitError
from toolkit.partition import SPLIT


@dataclass(frozen=True)
class Levels:
    """At least one pipeline, at most one for each node size, in any order.

    Raises ToolkitError on two for one size, and on pipelines of different bit depths or encoder settings.
    """

    pipelines: Sequence[Pipeline]

    def __post_init__(self) -> None:
        if not self.pipelines:
            raise ToolkitError("No pipeline given. Make one with `av1part pipeline build`.")
        first, sizes = self.pipelines[0], [pipeline.node for pipeline in self.pipelines]
        for pipeline in self.pipelines[1:]:
            check_learnt_alike(first, pipeline, "Label with the same settings for both node sizes.")
        if len(set(sizes)) < len(sizes):
            listed = ", ".join(f"{p.path} {p.node}x{p.node}" for p in self.pipelines)
            raise ToolkitError(f"Pipelines of nodes {listed}: expected at most one for each size.")

    @property
    def bit_depth(self) -> int:
        return self.pipelines[0].bit_depth

    @property
    def encoder(self) -> dict[str, Any]:
        """Settings of the encoder whose decisions the models learnt."""
        return self.pipelines[0].encoder

    @property
    def nodes(self) -> tuple[int, ...]:
        """The node sizes, largest first."""
        return tuple(sorted((pipeline.node for pipeline in self.pipelines), reverse=True))

    def mask(self, luma: Luma, qindex: int) -> dict[int, Mask]:
        """`Pipeline.mask` of every node size. Nodes inside a larger one that may not be split are not asked about."""
        found: dict[int, Mask] = {}
        for pipeline in sorted(self.pipelines, key=lambda p: p.node, reverse=True):
            found[pipeline.node] = pipeline.mask(luma, qindex, reached(found, pipeline.node, luma.shape))
        return found


def reached(larger: dict[int, Mask], node: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether the larger nodes' masks leave nodes of this size, (rows, columns), to be searched at all."""
    rows, columns = -(-shape[0] // node), -(-shape[1] // node)
    result = np.ones((rows, columns), bool)
    for size, mask in larger.items():
        split = (mask == 0) | (mask & bits(SPLIT) != 0)
        result &= split.repeat(size // node, 0).repeat(size // node, 1)[:rows, :columns]
    return result
