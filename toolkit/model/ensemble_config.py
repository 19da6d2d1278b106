"""What an ensemble is, in plain values. Light: imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.model.config import ModelConfig
from toolkit.partition import AUGMENTATIONS

VIEWS = AUGMENTATIONS
"""How many ways each member looks at a block: as it is, in 4 flips, or in all 8 flips and transpositions."""
_OWN = ("backbone", "adapter", "adapter_size", "adapter_placement", "dropout", "input_scale", "spatial_attention")
"""Settings in which members may differ. All others say what goes in and what the logits mean."""


@dataclass(frozen=True)
class EnsembleConfig(ModelConfig):
    """Several networks whose probabilities are averaged; made by `of`. What they share is as in any model's config."""

    members: tuple[ModelConfig, ...] = ()
    views: str = "none"

    def __post_init__(self) -> None:
        """Nothing: `of` has checked it, and each member has checked itself."""

    @classmethod
    def of(cls, members: Sequence[ModelConfig], views: str = "none", names: Sequence[str] = ()) -> "EnsembleConfig":
        """The ensemble of these members, called `names` in messages.

        Raises ToolkitError on none, on one seen in one view alone, on a member that is an ensemble, and on members
        of another stage, bit depth, use of the qindex, or anything else of their input.
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

    def to_dict(self) -> dict[str, Any]:
        """The members and the views, from which all else follows."""
        return {"members": [member.to_dict() for member in self.members], "views": self.views}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "EnsembleConfig":
        """Rebuild from `to_dict`; ToolkitError as `of`, and names keys that this version does not know."""
        if set(values) != {"members", "views"} or not isinstance(values["members"], list):
            raise ToolkitError(f"Ensemble settings {sorted(values)}: expected a list of members, and views.")
        return cls.of([ModelConfig.from_dict(member) for member in values["members"]], values["views"])
