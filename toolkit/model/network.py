"""The classifier of one stage: raw luma code values and qindex in, logits out. Luma is scaled here, and only here."""

from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from toolkit.data.blockset import Luma, check_input
from toolkit.errors import ToolkitError
from toolkit.model.adapters import add_adapters, is_adapter
from toolkit.model.backbones import make_backbone
from toolkit.model.config import ModelConfig
from toolkit.progress import track

# The field's heads: hidden widths and dropout. The small network has a small head, for speed.
_HEADS = {"1": ((256,), 0.3), "2": ((256, 128), 0.4), "3-rect": ((128, 64), 0.2), "3-ab": ((256, 128), 0.5)}
_SMALL_HEAD = ((128,), 0.2)
QINDEX_FEATURES = 3


class Standardise(nn.Module):
    """First layer: scales raw code values for the backbone.

    Luma of the given mean and std (of values in [0, 1]) gets zero mean and unit deviation. An imported model has its
    own factor instead.
    """

    def __init__(self, config: ModelConfig, mean: float, std: float) -> None:
        super().__init__()
        self.scale, self.shift = 1.0 / (((1 << config.bit_depth) - 1) * std), -mean / std
        if config.input_scale is not None:
            self.scale, self.shift = config.input_scale, 0.0

    def forward(self, luma: Tensor) -> Tensor:
        return luma * self.scale + self.shift


class Head(nn.Module):
    """Fully connected layers with ReLU and dropout. Names follow the older checkpoints (head.head.0, .3, .6)."""

    def __init__(self, before: int, widths: tuple[int, ...], dropout: float, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Linear(before, width), nn.ReLU(inplace=True), nn.Dropout(dropout)]
            before = width
        layers.append(nn.Linear(before, outputs))
        self.head = nn.Sequential(*layers)
        for layer in layers:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    @property
    def last(self) -> nn.Linear:
        """The last layer, whose outputs are the logits."""
        return cast(nn.Linear, self.head[-1])

    def hidden(self, x: Tensor) -> Tensor:
        """Inputs of the last layer, (N, last.in_features)."""
        y: Tensor = self.head[:-1](x)
        return y

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(x)
        return y


class Classifier(nn.Module):
    """Base of every stage's model, one network or an ensemble: forward(luma, qindex) as PartitionNet's."""

    config: ModelConfig


class PartitionNet(Classifier):
    """Backbone and head of one stage.

    forward(luma (N, 1, S, S) raw code values as float, qindex (N, 1) float 0..255) gives logits (N, classes);
    S is the window's size. Raises ToolkitError on a window of another size, which a convolution would take silently.
    Stage 1 has one logit z, divided by a learned temperature, and gives [0, z]: every stage is read alike.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = make_backbone(config)
        self.features_out = int(cast(int, self.backbone.features))
        mean, std = (float(cast(float, v)) for v in (self.backbone.mean, self.backbone.std))
        self.standardise = Standardise(config, mean, std)
        widths, dropout = _SMALL_HEAD if config.backbone == "small" else _HEADS[config.stage]
        dropout = dropout if config.dropout is None else config.dropout
        self.single = len(config.classes) == 2 and config.stage == "1"
        inputs = self.features_out + (QINDEX_FEATURES if config.qindex else 0)
        self.head = Head(inputs, widths, dropout, 1 if self.single else len(config.classes))
        if self.single:
            self.temperature = nn.Parameter(torch.ones(1))
        self.add_adapters(config)

    def add_adapters(self, config: ModelConfig) -> None:
        """Add the adapters of a config, if it has any. Training does so after the backbone has its first weights."""
        if config.adapter != "none":
            add_adapters(self.backbone, config.adapter, config.adapter_size, config.adapter_placement)
        self.config = config

    def adapter_parameters(self) -> list[nn.Parameter]:
        """Weights of the adapters: they learn whatever else is frozen."""
        return [p for name, p in self.backbone.named_parameters() if is_adapter(name)]

    def features(self, luma: Tensor) -> Tensor:
        """Features (N, F) of raw luma (N, 1, S, S): the backbone's output, before the head."""
        size = self.config.window.size
        if luma.shape[1:] != (1, size, size):
            raise ToolkitError(
                f"Model input: luma has shape {tuple(luma.shape)}, expected (N, 1, {size}, {size}) for a "
                f"{self.config.window}."
            )
        y: Tensor = self.backbone(self.standardise(luma))
        return y

    def head_input(self, features: Tensor, qindex: Tensor) -> Tensor:
        """Inputs of the head, from features (N, F) and qindex (N, 1)."""
        if self.config.qindex:
            # The quantiser step grows about exponentially with qindex: give a linear and two curved terms.
            q = qindex / 255.0
            features = torch.cat([features, q, q * q, torch.exp2(-8.0 * q)], 1)
        return features

    def as_logits(self, logits: Tensor) -> Tensor:
        """Logits (N, classes) from the head's output; only Stage 1's differ from it."""
        if self.single:
            z = logits / self.temperature
            logits = F.pad(z, (1, 0))  # unlike zeros_like, exports without a Shape node, which a GPU cannot run
        return logits

    def forward(self, luma: Tensor | None, qindex: Tensor, features: Tensor | None = None) -> Tensor:
        """Logits (N, classes). In training, cached `features` of a frozen backbone may take the place of luma."""
        if features is None:
            assert luma is not None
            features = self.features(luma)
        return self.as_logits(self.head(self.head_input(features, qindex)))


def to_input(
    luma: Luma, qindex: NDArray[np.uint8], *, config: ModelConfig, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Convert integer windows (N, 1, S, S) and qindex (N,) uint8 to the model's float inputs, values unchanged.

    Raises ToolkitError as `check_input`: on floats (scaled data), a wrong shape, and values outside the bit depth.
    """
    check_input(luma, qindex, config.bit_depth, config.window)
    return torch.from_numpy(luma).to(dtype), torch.from_numpy(qindex).to(dtype)[:, None]


@torch.inference_mode()
def predict(model: Classifier, luma: Luma, qindex: NDArray[np.uint8], *, batch: int = 1024) -> Tensor:
    """Logits (N, classes) of integer blocks, as a CPU tensor, computed on the model's device and in its dtype.

    Raises ToolkitError as `to_input` does, and for a model in training mode.
    """
    if model.training:
        raise ToolkitError("The model is in training mode (dropout, batch-norm); call eval() before predicting.")
    like = next(model.parameters())
    parts = []
    for start in track(range(0, len(luma), batch), "in PyTorch"):
        part = slice(start, start + batch)
        inputs = to_input(luma[part], qindex[part], config=model.config, dtype=like.dtype)
        parts.append(model(*(value.to(like.device) for value in inputs)).cpu())
    return torch.cat(parts) if parts else torch.empty(0, len(model.config.classes))
