"""A small network for 16x16 blocks, made for an encoder's budget: stride early, keep the positions to the end."""

from torch import Tensor, nn


def _layer(before: int, after: int, kernel: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


class SmallNet(nn.Module):
    """(N, 1, 16, 16) to (N, 256): a 4x4 map of 16 channels, flattened.

    Pooling would lose which half is split, the whole difference between HORZ_A and HORZ_B.
    """

    features = 256
    mean, std = 0.5, 0.25

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _layer(1, 32, 3, 2), _layer(32, 48, 3, 1), _layer(48, 64, 3, 2), _layer(64, 64, 3, 1), _layer(64, 16, 1, 1)
        )

    def layer_groups(self) -> list[list[nn.Module]]:
        """Groups for gradual unfreezing, first to last."""
        return [[layer] for layer in self.layers]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y.flatten(1)
