"""Networks that turn a standardised luma block into a feature vector, by the names in toolkit.model.config.BACKBONES.

A backbone takes (N, 1, S, S), S a window's size, and gives (N, features). It has the attributes `features`, and `mean`
and `std` of luma in [0, 1], by which its input is standardised. `layer_groups()` gives its parts for gradual
unfreezing, first to last. A backbone with residual layers has `adapter_sites()`, the places for adapters. One with
ImageNet weights has `load_imagenet(weights)`.
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
        return EfficientNetLite0(config.window)
    return TorchvisionBackbone(config.backbone, config.window)
