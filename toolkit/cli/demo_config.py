"""What the demo runs: few blocks and epochs, so that it ends within minutes. Light: imports no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DemoConfig:
    """Sizes of the demo's runs. `lr_backbone` is above the field's 1e-6, which moves nothing in so few steps."""

    output: str = "runs/demo"
    limit_train: int = 2500
    limit_val: int = 1200
    epochs: int = 3
    freeze_epochs: int = 1
    lr_backbone: float = 1e-4
    cq: int = 32
    cpu_used: int = 1
