"""What is frozen and how fast the rest learns: it follows from the epoch alone, so that resuming needs no state."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from toolkit.model.network import PartitionNet
from toolkit.training.config import Extension, TrainConfig


@dataclass(frozen=True)
class Phase:
    """Settings of one epoch. `groups`: how many of the backbone's layer groups learn, counted from the last."""

    frozen: bool
    groups: int
    lr: float
    lr_backbone: float


def phase_of(config: TrainConfig, extensions: Sequence[Extension], epoch: int, groups: int) -> Phase:
    """Phase of an epoch (1-based), for a backbone of `groups` layer groups.

    The rates fall by cosine annealing (Loshchilov & Hutter 2017) over the unfrozen epochs, and again over each
    extension. Gradual unfreezing (Howard & Ruder 2018) lets one more group learn every `gradual` epochs.
    """
    if epoch <= config.frozen_epochs:
        return Phase(True, 0, config.lr, 0.0)
    first, count, lr = config.frozen_epochs + 1, config.epochs - config.frozen_epochs, config.lr
    end = config.epochs
    for extension in extensions:
        if epoch > end:
            first, count, lr = end + 1, extension.epochs, extension.lr
        end += extension.epochs
    cosine = 0.5 * (1 + math.cos(math.pi * (epoch - first) / count))
    learning = groups
    if config.gradual:
        learning = min(groups, (epoch - config.frozen_epochs - 1) // config.gradual + 1)
    backbone = config.backbone_lr * lr / config.lr
    return Phase(config.frozen_epochs >= config.epochs, learning, lr * cosine, backbone * cosine)


def layer_groups(model: PartitionNet) -> list[list[nn.Module]]:
    """Layer groups of the backbone, first to last."""
    groups: list[list[nn.Module]] = cast(Any, model.backbone).layer_groups()
    return groups


def enter(model: PartitionNet, optimizer: torch.optim.Optimizer, config: TrainConfig, phase: Phase) -> None:
    """Put the model into training mode for a phase, and set the learning rates of backbone and rest.

    Adapters learn in every phase. The backbone's batch-norm keeps its statistics while frozen, and afterwards if the
    config says so.
    """
    model.train()
    model.backbone.requires_grad_(False)
    learning = 0 if phase.frozen else phase.groups
    for module in itertools.chain.from_iterable(layer_groups(model)[::-1][:learning]):
        module.requires_grad_(True)
    for parameter in model.adapter_parameters():
        parameter.requires_grad_(True)
    if phase.frozen or config.norm_in_eval:
        model.backbone.eval()
    optimizer.param_groups[0]["lr"] = 0.0 if phase.frozen else phase.lr_backbone
    optimizer.param_groups[1]["lr"] = phase.lr


def recalibrate(model: PartitionNet, luma: torch.Tensor, batch: int = 256) -> None:
    """Measure the backbone's batch-norm statistics again, on integer luma (N, 1, S, S); weights stay as they are."""
    batches = [model.standardise(part.float()) for part in torch.split(luma, batch) if len(part) > 1]
    torch.optim.swa_utils.update_bn(batches, model.backbone)
