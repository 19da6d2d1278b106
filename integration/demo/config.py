"""Sizes of the demo: few blocks and epochs, so that it ends within minutes. Without heavy imports."""

from dataclasses import dataclass

from toolkit.option import option


@dataclass(frozen=True)
class DemoConfig:
    """Sizes of the demo's runs.

    `lr_backbone` is larger than the usual 1e-6, which would change nothing in so few steps. `policy` is bolder than the
    default: after so brief a training all probabilities are close, and cautious thresholds would remove nothing.
    """

    limit_train: int = option(2000, "Training blocks of each run.")
    limit_val: int = option(1000, "Blocks that each run is evaluated on.")
    epochs: int = option(3, "Epochs of each run, the first with a frozen backbone.")
    freeze_epochs: int = 1
    lr_backbone: float = 1e-4
    parity_blocks: int = 300
    policy: tuple[str, ...] = ("drop_ab_below=0.33", "split_only_above=0.38")
    cq: int = 32
    cpu_used: int = 1
    pruner: str = "photo-8bit"
    pruner_cpu_used: int = 2
