"""Description of an ensemble in plain values. Light: imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from toolkit.errors import ToolkitError
from toolkit.model.config import ModelConfig
from toolkit.option import Options
from toolkit.partition import AUGMENTATIONS

VIEWS = AUGMENTATIONS
"""The views in which each member sees a block: as it is, in 4 flips, or in all 8 flips and transpositions."""
_OWN = ("backbone", "adapter", "adapter_size", "adapter_placement", "dropout", "input_scale", "spatial_attention")
"""Settings in which members may differ. All others define the input and the meaning of the logits."""


@dataclass(frozen=True)
class EnsembleConfig(ModelConfig):
    """Settings of several networks whose probabilities are averaged; made by `of`. Shared settings are the members'."""

    members: tuple[ModelConfig, ...] = ()
    views: str = "none"

    def __post_init__(self) -> None:
        """Check nothing: `of` has checked the ensemble, and each member has checked itself."""

    @classmethod
    def of(cls, members: Sequence[ModelConfig], views: str = "none", names: Sequence[str] = ()) -> "EnsembleConfig":
        """Settings of the ensemble of these members, which messages call `names`.

        Raises ToolkitError on no member, on one member in one view, on a member that is an ensemble, and on members
        that differ in stage, bit depth, use of the qindex, or any other setting of input and classes.
        """
        names = names or [f"member {i + 1}" for i in range(len(members))]
        if views not in VIEWS:
            raise ToolkitError(f"Views {views!r}: expected one of {', '.join(VIEWS)}.")
        if len(members) < 2 and (views == "none" or not members):
            raise ToolkitError(
                f"{len(members)} model to average: expected at least two, or one with --views flips or dihedral."
            )
        shared = [f.name for f in fields(ModelConfig) if f.name not in _OWN]
        for name, member in zip(names, members, strict=True):
            if isinstance(member, EnsembleConfig):
                raise ToolkitError(f"{name} is an ensemble already. Name its members' own checkpoints.")
            for key in shared:
                found, first = getattr(member, key), getattr(members[0], key)
                if found != first:
                    raise ToolkitError(
                        f"{name} has {key.replace('_', ' ')} {found!r}, {names[0]} has {first!r}. Average models that "
                        "take and give the same."
                    )
        backbone = f"ensemble of {', '.join(m.backbone for m in members)}" + (f" in {views} views" * (views != "none"))
        values = {key: getattr(members[0], key) for key in shared}
        return cls(**values, backbone=backbone, members=tuple(members), views=views)

    def to_dict(self) -> Options:
        """Plain values of the members and the views; all else follows from them."""
        return {"members": [member.to_dict() for member in self.members], "views": self.views}

    @classmethod
    def from_dict(cls, values: Options) -> "EnsembleConfig":
        """Rebuild from `to_dict`; ToolkitError as `of`, and names keys that this version does not know."""
        if set(values) != {"members", "views"} or not isinstance(values["members"], list):
            raise ToolkitError(f"Ensemble settings {sorted(values)}: expected a list of members, and views.")
        return cls.of([ModelConfig.from_dict(member) for member in values["members"]], values["views"])
