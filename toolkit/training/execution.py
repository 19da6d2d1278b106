"""How a network is run while it trains: processes, memory layout, cached features.

Saved weights show nothing of it.
"""

import os
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from toolkit.errors import ToolkitError
from toolkit.model.augment import turn, turn_each, views
from toolkit.model.network import PartitionNet
from toolkit.processes import PARENT, child_environment
from toolkit.training.config import TrainConfig


class Execution:
    """Memory layout of a model's training steps, through Fabric."""

    def __init__(self, fabric: Fabric, model: nn.Module, config: TrainConfig) -> None:
        self.fabric, self.model, self.config = fabric, model, config

    def begin(self) -> Any:
        """Module to call in the steps of an epoch.

        It is wrapped afresh each epoch: a distributed wrapper must know which parameters take part in this phase.
        """
        if self.config.channels_last:
            self.model.to(memory_format=torch.channels_last)
        return self.fabric.setup_module(self.model)

    def end(self) -> None:
        """Return to the ordinary memory layout: a model is evaluated and saved as it will be loaded."""
        if self.config.channels_last:
            self.model.to(memory_format=torch.contiguous_format)


_GIB = 1 << 30


class FeatureCache:
    """Features of all N training blocks in each view that the augmentation can show, computed at the first use.

    While the backbone is frozen and in evaluation mode they cannot change, so that a frozen epoch only costs the head.
    Memory: views x N x F float32, at most `gib`. Features in views that do not fit are computed at each use.
    """

    def __init__(self, model: PartitionNet, luma: Tensor, kind: str, gib: float, batch: int = 512) -> None:
        self.model, self.luma, self.kind, self.batch = model, luma, kind, batch
        fits = int(gib * _GIB) // (len(luma) * model.features_out * 4)
        self.views = min(views(kind), fits)
        self._table: Tensor | None = None

    @torch.no_grad()
    def __call__(self, index: Tensor, view: Tensor) -> Tensor:
        """Features (n, F) of the blocks at `index`, each in its `view`, both (n,) int64."""
        if self._table is None:
            self._table = self._computed()
        if self.views == views(self.kind):
            return self._table[view, index]
        kept = view < self.views
        result = torch.empty(len(index), self.model.features_out, device=self.luma.device)
        result[kept] = self._table[view[kept], index[kept]]
        luma = self.luma[index[~kept]].float()
        result[~kept] = self.model.features(turn_each(luma, view[~kept], self.kind))
        return result

    def _computed(self) -> Tensor:
        """Features (views, N, F) of the views that fit."""
        table = torch.empty(self.views, len(self.luma), self.model.features_out, device=self.luma.device)
        for view in range(self.views):
            for start in range(0, len(self.luma), self.batch):
                part = slice(start, start + self.batch)
                table[view, part] = self.model.features(turn(self.luma[part].float(), view))
        return table


def worth_caching(kind: str, frozen_epochs: int) -> bool:
    """Whether computing every view once is less work than computing one view an epoch."""
    return views(kind) <= frozen_epochs


def fabric_on(device: str, devices: int, precision: str) -> Fabric:
    """Fabric, not yet launched; it raises exceptions of many kinds where the machine lacks a device."""
    with warnings.catch_warnings():
        # Lightning says so wherever SLURM is installed; processes are started here, not by SLURM.
        warnings.filterwarnings("ignore", message="The `srun` command is available")
        return Fabric(accelerator=device, devices=devices, precision=precision)  # type: ignore[arg-type]


def start_fabric(config: TrainConfig) -> Fabric:
    """Start Fabric, and with several devices the other processes. ToolkitError where the machine lacks a device."""
    try:
        fabric = fabric_on(config.device, config.devices, config.precision)
    except Exception as error:  # Fabric raises RuntimeError, ValueError, TypeError and exceptions of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ToolkitError(
            f"--device {config.device} --devices {config.devices} --precision {config.precision} was asked for and "
            f"this machine cannot do it: {reason}. `av1part doctor` says what a GPU lacks; or use --device cpu."
        ) from None
    os.environ.update(child_environment())  # Fabric starts the others with this process's environment
    try:
        fabric.launch()
    finally:
        os.environ.pop(PARENT, None)
    return fabric


def by_the_first(fabric: Fabric, action: Callable[[], None]) -> None:
    """Let the first process do something, above all write files, while the others wait.

    Where it fails with a ToolkitError, all processes stop by `stop_all`: the others would wait for the first in vain.
    """
    failure: ToolkitError | None = None
    if fabric.is_global_zero:
        try:
            action()
        except ToolkitError as error:
            failure = error
    if fabric.broadcast(failure is not None):
        stop_all(failure)


def stop_all(failure: ToolkitError | None) -> NoReturn:
    """End this process, as every other process does now: the first raises its failure, the others exit in silence.

    `failure`: None in all but the first process. One message is enough, and a process without one shows no traceback.
    The process group is taken down first: a process that exits while another still talks to it may be aborted.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    raise failure or SystemExit(0)
