"""How a network is run while it trains. Nothing of it is left in the weights: files hold them in the ordinary way."""

import shutil
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from toolkit.errors import ToolkitError
from toolkit.training.config import TrainConfig


class Execution:
    """Memory layout and compilation of a model's training steps, through Fabric.

    Raises ToolkitError where compilation is asked for and there is no C++ compiler.
    """

    def __init__(self, fabric: Fabric, model: nn.Module, config: TrainConfig) -> None:
        if config.compile != "none" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
            raise ToolkitError("--compile needs a C++ compiler, and none was found. Install g++, or leave it away.")
        self.fabric, self.model, self.config = fabric, model, config
        self._groups: int | None = None

    def begin(self, groups: int, *, cached: bool) -> Any:
        """What to call in the steps of an epoch in which so many of the backbone's layer groups learn.

        `cached`: features come from the cache, so that the head alone runs; that is not worth compiling.

        Wrapped anew each epoch: a distributed wrapper must know which parameters take part in this phase.
        """
        if self.config.channels_last:
            self.model.to(memory_format=torch.channels_last)
        if self.config.compile == "none" or cached:
            return self.fabric.setup_module(self.model)
        if groups != self._groups:
            # Else the programs of earlier phases count against PyTorch's limit, beyond which it stops compiling.
            torch._dynamo.reset()
            self._groups = groups
        # A program for each batch size: one for all sizes would be made at the second size that is met, so that a
        # resumed run would use others than one that was not stopped.
        compiled = torch.compile(self.model, dynamic=False, mode=self.config.compile)
        return self.fabric.setup_module(compiled)  # type: ignore[arg-type]

    def end(self) -> None:
        """Back to the ordinary layout: a model is evaluated and saved as it will be loaded."""
        if self.config.channels_last:
            self.model.to(memory_format=torch.contiguous_format)
