"""A small network for nodes of any size, fast enough for an encoder: it strides early and keeps positions."""

import torch
from torch import Tensor, nn

from toolkit.model.backbones.attention import SpatialAttention
from toolkit.windows import ALONE, Window


def _layer(before: int, after: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, kernel, stride, padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


class SmallNet(nn.Module):
    """Backbone from (N, 1, S, S) to (N, features): the node's 4x4 map of 16 channels, flattened.

    Pooling would lose which half is split, the whole difference between HORZ_A and HORZ_B. Only the node runs through
    these layers: the whole window would cost several times as much. Its surroundings are seen in patches of 4x4
    pixels, through two layers of their own, and add 16 channels of S / 8 x S / 8 positions. The first layer's stride
    takes a node of any size to 8x8 positions, its kernel grows with it, and all that follows is the same. So a larger
    node costs little more than a smaller one.
    """

    mean, std = 0.5, 0.25

    def __init__(self, window: Window = ALONE, spatial_attention: bool = False) -> None:
        super().__init__()
        self.window = window
        stride = window.node // 8
        kernel = max(2 * stride - 1, 3)
        self.layers = nn.Sequential(
            _layer(1, 32, kernel, stride, kernel // 2),
            _layer(32, 48, 3, 1, 1),
            _layer(48, 64, 3, 2, 1),
            _layer(64, 64, 3, 1, 1),
            _layer(64, 16, 1, 1, 0),
        )
        self.spatial_attn = SpatialAttention() if spatial_attention else nn.Identity()
        self.features = 256
        if window.context:
            self.surroundings = nn.Sequential(_layer(1, 16, 4, 4, 0), _layer(16, 16, 3, 2, 1))
            self.features += 16 * (window.size // 8) ** 2

    def layer_groups(self) -> list[list[nn.Module]]:
        """Layer groups for gradual unfreezing, first to last. The surroundings join the last: both feed the head."""
        last = [self.layers[-1], self.spatial_attn, *([self.surroundings] if self.window.context else [])]
        return [*([layer] for layer in self.layers[:-1]), last]

    def forward(self, x: Tensor) -> Tensor:
        c, end = self.window.context, self.window.context + self.window.node
        block = x[:, :, c:end, c:end] if c else x
        y: Tensor = self.spatial_attn(self.layers(block)).flatten(1)
        return torch.cat([y, self.surroundings(x).flatten(1)], 1) if c else y
