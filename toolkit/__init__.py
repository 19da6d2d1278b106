"""The learning part: data sets, models, training and comparison. Imports neither export nor integration.

The names in `__all__` are the public ones (docs/reference/api.md); each is imported at its first use, so that
`import toolkit` alone imports no torch.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

# ONNX Runtime reads this when it is loaded; without it every session writes files into the home folder and reports to
# its maker. `export` and `integration` import this package first, and child processes inherit the variable.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from toolkit.data.blockset import Blocks, BlockSet
    from toolkit.errors import ToolkitError
    from toolkit.experiments.evaluate import evaluate_on
    from toolkit.model.checkpoint import Checkpoint, load_checkpoint
    from toolkit.model.config import ModelConfig
    from toolkit.pruners.record import SearchSet
    from toolkit.training.config import TrainConfig
    from toolkit.training.run_folder import RunFolder
    from toolkit.training.selection import select_epoch
    from toolkit.training.train import train
else:
    _HOME = {
        "BlockSet": "toolkit.data.blockset",
        "Blocks": "toolkit.data.blockset",
        "Checkpoint": "toolkit.model.checkpoint",
        "ModelConfig": "toolkit.model.config",
        "RunFolder": "toolkit.training.run_folder",
        "SearchSet": "toolkit.pruners.record",
        "ToolkitError": "toolkit.errors",
        "TrainConfig": "toolkit.training.config",
        "evaluate_on": "toolkit.experiments.evaluate",
        "load_checkpoint": "toolkit.model.checkpoint",
        "select_epoch": "toolkit.training.selection",
        "train": "toolkit.training.train",
    }

    def __getattr__(name: str) -> object:
        """Import a public name from the module that defines it; AttributeError where the name is not public."""
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOME[name]), name)


__version__ = "0.1.0"
__all__ = [
    "BlockSet",
    "Blocks",
    "Checkpoint",
    "ModelConfig",
    "RunFolder",
    "SearchSet",
    "ToolkitError",
    "TrainConfig",
    "__version__",
    "evaluate_on",
    "load_checkpoint",
    "select_epoch",
    "train",
]
