"""Networks that turn a standardised luma block into a feature vector, by the names of model_config.BACKBONES.

A backbone takes (N, 1, 16, 16) and gives (N, features). It states `features`, and the `mean` and `std` by which
luma in [0, 1] is to be standardised for it.
"""

from typing import Protocol

from torch import Tensor, nn

from toolkit.backbones.efficientnet_lite import EfficientNetLite0
from toolkit.backbones.resnet import ResNet18SE
from toolkit.backbones.small import SmallNet

_CLASSES = {"resnet18-se": ResNet18SE, "efficientnet-lite0": EfficientNetLite0, "small": SmallNet}


class Backbone(Protocol):
    features: int
    mean: float
    std: float

    def __call__(self, x: Tensor) -> Tensor: ...


def make_backbone(name: str) -> nn.Module:
    """Build a backbone with random weights."""
    return _CLASSES[name]()
