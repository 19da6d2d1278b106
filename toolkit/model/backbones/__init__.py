"""Networks that turn a standardised luma block into a feature vector, by the names of model_config.BACKBONES.

A backbone takes (N, 1, S, S), S a window's size, and gives (N, features). It states `features`, and the
`mean` and `std` by which luma in [0, 1] is to be standardised for it. `layer_groups()` names its parts for gradual
unfreezing, first to last; `adapter_sites()`, where it has residual layers, the places for adapters;
`load_imagenet(weights)`, where such weights exist, takes them.
"""

from torch import nn

from toolkit.model.backbones.efficientnet_lite import EfficientNetLite0
from toolkit.model.backbones.resnet import ResNet18SE
from toolkit.model.backbones.small import SmallNet
from toolkit.model.backbones.torchvision_registry import TorchvisionBackbone
from toolkit.model.config import ModelConfig


def make_backbone(config: ModelConfig) -> nn.Module:
    """Build a model's backbone with random weights."""
    if config.backbone == "small":
        return SmallNet(config.window, config.spatial_attention)
    if config.backbone == "resnet18-se":
        return ResNet18SE()
    if config.backbone == "efficientnet-lite0":
        return EfficientNetLite0()
    return TorchvisionBackbone(config.backbone, config.window)
