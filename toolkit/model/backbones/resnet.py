"""ResNet-18 on one luma channel with the field's attention blocks (He 2016; Hu 2018; Woo 2018).

Module names are those of the older checkpoints (backbone.conv1 ... se4.excitation.2, spatial_attn.conv), which can
therefore be imported.
"""

from torch import Tensor, nn
from torchvision.models import resnet18

from toolkit.model.backbones.attention import SpatialAttention
from toolkit.model.backbones.torchvision_registry import resnet_sites


class SqueezeExcitation(nn.Module):
    """Channel gates from the mean of each channel (Hu et al. 2018), through a bottleneck of channels / `reduction`."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.excitation = nn.Sequential(
            nn.Linear(channels, channels // reduction),
            nn.ReLU(inplace=True),
            nn.Linear(channels // reduction, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.excitation(x.mean((2, 3)))
        return x * gate[:, :, None, None]


class ResNet18SE(nn.Module):
    """Backbone from (N, 1, H, W) to (N, 512)."""

    features = 512
    mean, std = 0.449, 0.226  # of ImageNet's grey values

    def __init__(self) -> None:
        super().__init__()
        plain = resnet18(weights=None)
        self.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
        self.bn1, self.relu, self.maxpool = plain.bn1, plain.relu, plain.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = plain.layer1, plain.layer2, plain.layer3, plain.layer4
        self.se1, self.se2 = SqueezeExcitation(64), SqueezeExcitation(128)
        self.se3, self.se4 = SqueezeExcitation(256), SqueezeExcitation(512)
        self.spatial_attn = SpatialAttention()

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.se1(self.layer1(x))
        x = self.se2(self.layer2(x))
        x = self.se3(self.layer3(x))
        x = self.spatial_attn(self.se4(self.layer4(x)))
        return x.mean((2, 3))

    def layer_groups(self) -> list[list[nn.Module]]:
        """Layer groups for gradual unfreezing, first to last."""
        groups: list[list[nn.Module]] = [[self.conv1, self.bn1], [self.layer1, self.se1], [self.layer2, self.se2]]
        return [*groups, [self.layer3, self.se3], [self.layer4, self.se4, self.spatial_attn]]

    def adapter_sites(self) -> list[tuple[nn.Module, str, int, int, int]]:
        """Every residual block: (parent, name, channels in, channels out, stride)."""
        return resnet_sites(self)

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        """Load torchvision's ResNet-18 weights. The attention blocks keep their random weights.

        The stem's RGB kernels are summed, which is exact on a grey picture. (Averaging, as the field did, divides the
        activations by 3 under frozen batch-norm.) Raises ValueError on weights of another network.
        """
        own = {k: v for k, v in weights.items() if not k.startswith("fc.")}
        own["conv1.weight"] = own["conv1.weight"].sum(1, keepdim=True)
        missing, unexpected = self.load_state_dict(own, strict=False)
        wrong = [k for k in missing if not k.startswith(("se", "spatial_attn"))] + unexpected
        if wrong:
            raise ValueError(f"not torchvision's ResNet-18 weights: {wrong[:5]}")
