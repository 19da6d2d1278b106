"""Pipelines for nodes of different sizes, asked about a frame together, the largest nodes first."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from integration.codec.masker import Masker
from integration.codec.masks import Mask
from integration.pipeline.pipeline import Pipeline, check_learnt_alike
from integration.pruning.bundle import PrunerBundle
from toolkit.data.blockset import Luma
from toolkit.data.encoder_settings import EncoderRecord
from toolkit.errors import ToolkitError


@dataclass(frozen=True)
class PipelineSet:
    """At least one pipeline and at most one for each node size, in any order.

    Raises ToolkitError on two for one size, on pipelines of different bit depths or encoder settings, and on two
    pruners.
    """

    members: Sequence[Pipeline]

    def __post_init__(self) -> None:
        if not self.members:
            raise ToolkitError("No pipeline given. Make one with `av1part pipeline build`.")
        check_learnt_alike(self.members, "Label with the same settings for both node sizes.")
        if len(set(self.nodes)) < len(self.nodes):
            listed = ", ".join(f"{p.path} {p.node}x{p.node}" for p in self.members)
            raise ToolkitError(f"Pipelines of nodes {listed}: expected at most one for each size.")
        if len({p.pruner.sha256 for p in self.members if p.pruner}) > 1:
            listed = " and ".join(str(p.pruner.path) for p in self.members if p.pruner)
            raise ToolkitError(f"{listed}: two pruners; an encode has one. Build one pipeline without --pruner.")

    @property
    def pruner(self) -> PrunerBundle | None:
        """What decides inside the search beside these masks; None where no pipeline holds a pruner."""
        return next((p.pruner for p in self.members if p.pruner), None)

    @property
    def bit_depth(self) -> int:
        return self.members[0].bit_depth

    @property
    def encoder(self) -> EncoderRecord:
        """Settings of the encoder whose decisions the models learnt."""
        return self.members[0].encoder

    @property
    def nodes(self) -> tuple[int, ...]:
        """Node sizes, the largest first."""
        return tuple(sorted((pipeline.node for pipeline in self.members), reverse=True))

    @cached_property
    def masker(self) -> Masker:
        """The engine with all pipelines; errors as of Masker."""
        masker = Masker(self.bit_depth)
        for pipeline in self.members:
            pipeline.add_to(masker)
        return masker

    def mask(self, luma: Luma, qindex: int) -> dict[int, Mask]:
        """`Pipeline.mask` by node size. Nodes inside a larger one that may not be split are not asked about."""
        return self.masker.masks(luma, qindex)
