"""A gate for each position of a feature map (the second half of CBAM, Woo et al. 2018)."""

import torch
from torch import Tensor, nn


class SpatialAttention(nn.Module):
    """Position gates from the mean and maximum over channels, through a 7x7 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.conv(pooled))
