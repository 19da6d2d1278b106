"""Backbones from torchvision's model registry on one luma channel: plain networks to compare with."""

import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from toolkit.windows import ALONE, Window

# Factor by which a block is upsampled inside the graph, so that the network's halvings leave something.
FACTOR = {"resnet18": 1, "resnet50": 1, "efficientnet_b0": 2}
VIT_INPUT = 224


class TorchvisionBackbone(nn.Module):
    """Backbone from (N, 1, S, S), S a window's size, to (N, features): a registry network without its classifier."""

    mean, std = 0.449, 0.226  # of ImageNet's grey values

    def __init__(self, name: str, window: Window = ALONE) -> None:
        super().__init__()
        self.name = name
        # A ViT has one size of input; the model's config refuses windows that no exact factor scales to it.
        self.factor = VIT_INPUT / window.size if name == "vit_b_16" else float(FACTOR[name])
        self.network = torchvision.models.get_model(name, weights=None)
        parent, attribute, classifier = _ends(self.network, name)
        stem = getattr(parent, attribute)
        setattr(parent, attribute, _on_one_channel(stem))
        last = getattr(self.network, classifier)
        linear = last if isinstance(last, nn.Linear) else [m for m in last.modules() if isinstance(m, nn.Linear)][-1]
        self.features = int(linear.in_features)
        setattr(self.network, classifier, nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        if self.factor > 1:
            x = F.interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=False)
        y: Tensor = self.network(x)
        return y

    def layer_groups(self) -> list[list[nn.Module]]:
        """Layer groups for gradual unfreezing, first to last."""
        parts = self.network.features if self.name == "efficientnet_b0" else self.network
        children = list(parts.children())
        if self.name == "vit_b_16":
            children = [self.network.conv_proj, *self.network.encoder.layers, self.network.encoder.ln]
        return [[m] for m in children if any(True for _ in m.parameters())]

    def adapter_sites(self) -> list[tuple[nn.Module, str, int, int, int]]:
        """Every residual block of a ResNet, as `resnet_sites` gives them; none of other networks."""
        if not self.name.startswith("resnet"):
            return []
        return resnet_sites(self.network)

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        """Load torchvision's weights of this network: the stem's RGB kernels are summed, the classifier is left out."""
        own, expected = dict(weights), self.network.state_dict()
        stem = next(k for k, v in own.items() if v.ndim == 4)
        own[stem] = own[stem].sum(1, keepdim=True)
        self.network.load_state_dict({k: v for k, v in own.items() if k in expected})


def resnet_sites(network: nn.Module) -> list[tuple[nn.Module, str, int, int, int]]:
    """Every residual block of layer1 .. layer4: (parent, name, channels in, channels out, stride)."""
    sites: list[tuple[nn.Module, str, int, int, int]] = []
    for layer in ("layer1", "layer2", "layer3", "layer4"):
        parent = getattr(network, layer)
        for name, block in parent.named_children():
            convolutions = [m for m in (block.conv1, block.conv2, getattr(block, "conv3", None)) if m is not None]
            sites.append((parent, name, convolutions[0].in_channels, convolutions[-1].out_channels, block.stride))
    return sites


def _ends(network: nn.Module, name: str) -> tuple[nn.Module, str, str]:
    """Parent and attribute name of the first convolution, and the attribute name of the classifier."""
    if name == "vit_b_16":
        return network, "conv_proj", "heads"
    if name == "efficientnet_b0":
        return network.get_submodule("features.0"), "0", "classifier"
    return network, "conv1", "fc"


def _on_one_channel(conv: nn.Conv2d) -> nn.Conv2d:
    """Make a convolution like this one with one input channel and random weights."""
    size, stride, padding = conv.kernel_size, conv.stride, conv.padding
    return nn.Conv2d(1, conv.out_channels, size, stride, padding, bias=conv.bias is not None)  # type: ignore[arg-type]
