"""Residual adapters: small trainable layers between the layers of a frozen backbone.

The last layer of every adapter starts at zero, so that adding one changes nothing until it learns.
"""

from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from toolkit.errors import ToolkitError

PREFIX = "adapter"
Site = tuple[nn.Module, str, int, int, int]


class SeriesAdapter(nn.Module):
    """Adapter behind a layer of output h: h + W h, W a 1x1 convolution (Rebuffi et al. 2017)."""

    def __init__(self, layer: nn.Module, before: int, after: int, stride: int, size: int) -> None:
        super().__init__()
        self.layer = layer
        self.adapter = nn.Conv2d(after, after, 1)
        _zero(self.adapter)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.layer(x)
        return h + cast(Tensor, self.adapter(h))


class ParallelAdapter(nn.Module):
    """Adapter beside a layer: layer(x) + W x, W a 1x1 convolution of the layer's stride (Rebuffi et al. 2018)."""

    def __init__(self, layer: nn.Module, before: int, after: int, stride: int, size: int) -> None:
        super().__init__()
        self.layer = layer
        self.adapter = nn.Conv2d(before, after, 1, stride)
        _zero(self.adapter)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.layer(x)
        return h + cast(Tensor, self.adapter(x))


class BottleneckAdapter(nn.Module):
    """Adapter behind a layer of output h: h + up(relu(down(h))), through `size` channels (Houlsby et al. 2019)."""

    def __init__(self, layer: nn.Module, before: int, after: int, stride: int, size: int) -> None:
        super().__init__()
        self.layer = layer
        self.adapter_down = nn.Conv2d(after, size, 1)
        self.adapter_up = nn.Conv2d(size, after, 1)
        _zero(self.adapter_up)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.layer(x)
        return h + cast(Tensor, self.adapter_up(F.relu(self.adapter_down(h))))


_CLASSES = {"series": SeriesAdapter, "parallel": ParallelAdapter, "bottleneck": BottleneckAdapter}


def add_adapters(backbone: nn.Module, kind: str, size: int, placement: str) -> None:
    """Wrap the backbone's residual layers in adapters: all of them (placement `all`) or the later half (`late`).

    The backbone names them by its method `adapter_sites()`: (parent, name, channels in, channels out, stride).
    Raises ToolkitError for a backbone that has none.
    """
    if not getattr(backbone, "adapter_sites", list)():
        raise ToolkitError(f"Adapters: {type(backbone).__name__} has no residual layers to put them between.")
    sites: list[Site] = cast(Any, backbone).adapter_sites()
    for parent, name, before, after, stride in sites[len(sites) // 2 if placement == "late" else 0 :]:
        setattr(parent, name, _CLASSES[kind](getattr(parent, name), before, after, stride, size))


def is_adapter(name: str) -> bool:
    """Whether a parameter of this name belongs to an adapter."""
    return any(part.startswith(PREFIX) for part in name.split("."))


def _zero(convolution: nn.Conv2d) -> None:
    nn.init.zeros_(convolution.weight)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
