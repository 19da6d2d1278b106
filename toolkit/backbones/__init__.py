"""Networks that turn a standardised luma block into a feature vector, by the names of model_config.BACKBONES.

A backbone takes (N, 1, 16, 16) and gives (N, features). It states `features`, and the `mean` and `std` by which
luma in [0, 1] is to be standardised for it. `layer_groups()` names its parts for gradual unfreezing, first to last;
`adapter_sites()`, where it has residual layers, the places for adapters; `load_imagenet(weights)`, where such
weights exist, takes them.
"""

from torch import nn

from toolkit.backbones.efficientnet_lite import EfficientNetLite0
from toolkit.backbones.resnet import ResNet18SE
from toolkit.backbones.small import SmallNet
from toolkit.backbones.torchvision_registry import TorchvisionBackbone

_CLASSES = {"resnet18-se": ResNet18SE, "efficientnet-lite0": EfficientNetLite0, "small": SmallNet}


def make_backbone(name: str) -> nn.Module:
    """Build a backbone with random weights."""
    return _CLASSES[name]() if name in _CLASSES else TorchvisionBackbone(name)
