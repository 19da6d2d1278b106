"""How a network is run while it trains: memory layout and compilation. Saved weights show nothing of either."""

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
        """Module to call in the steps of an epoch in which `groups` of the backbone's layer groups learn.

        `cached`: features come from the cache, so that only the head runs; it is not worth compiling. The module is
        wrapped afresh each epoch: a distributed wrapper must know which parameters take part in this phase.
        """
        if self.config.channels_last:
            self.model.to(memory_format=torch.channels_last)
        if self.config.compile == "none" or cached:
            return self.fabric.setup_module(self.model)
        if groups != self._groups:
            # PyTorch stops compiling beyond a number of programs, and those of earlier phases would count.
            torch._dynamo.reset()
            self._groups = groups
        # One program for each batch size. PyTorch would make one for all sizes when it meets the second size, so that a
        # resumed run would use other programs than a run that was not stopped.
        compiled = torch.compile(self.model, dynamic=False, mode=self.config.compile)
        return self.fabric.setup_module(compiled)  # type: ignore[arg-type]

    def end(self) -> None:
        """Return to the ordinary memory layout: a model is evaluated and saved as it will be loaded."""
        if self.config.channels_last:
            self.model.to(memory_format=torch.contiguous_format)
