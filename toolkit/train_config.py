"""Every option of a training run and its default: the field's protocol for Stage 2. Light: imports no torch."""

from dataclasses import asdict, dataclass
from typing import Any

from toolkit.errors import ToolkitError

INITS = ("imagenet", "stage1", "random")
BATCH_NORMS = ("auto", "eval", "train")
LOSSES = ("cb-focal", "focal", "cross-entropy")
AUGMENTATIONS = ("none", "flips", "dihedral")
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class TrainConfig:
    """Options of `av1part train`.

    `freeze_epochs`: epochs in which only the head learns; the backbone's batch-norm keeps its statistics.
    `lr` (head) is constant while frozen, then both rates fall by a cosine to 0 over the other epochs.
    `batch_norm`: the backbone's after unfreezing; auto keeps the statistics of a pretrained backbone (eval) and
    learns those of a random one (train). A random init has nothing to keep: it is never frozen, and its backbone
    learns at `lr`. `limit_train` / `limit_val`: at most so many blocks, drawn by seed.
    """

    init: str = "stage1"
    epochs: int = 30
    freeze_epochs: int = 8
    batch_size: int = 128
    lr: float = 5e-4
    lr_backbone: float = 1e-6
    weight_decay: float = 1e-4
    loss: str = "cb-focal"
    beta: float = 0.9999
    gamma: float = 2.0
    augment: str = "flips"
    batch_norm: str = "auto"
    seed: int = 42
    limit_train: int | None = None
    limit_val: int | None = None
    device: str = "auto"
    devices: int = 1
    precision: str = "32-true"

    def __post_init__(self) -> None:
        if self.init not in INITS:
            raise ToolkitError(f"Init {self.init!r}: expected one of {', '.join(INITS)}.")
        if self.epochs < 1 or self.batch_size < 1 or not 0 <= self.frozen_epochs <= self.epochs:
            raise ToolkitError(
                f"epochs {self.epochs}, freeze-epochs {self.freeze_epochs}, batch-size {self.batch_size}: expected "
                "at least 1 epoch, a batch of at least 1, and freeze-epochs between 0 and epochs."
            )

    @property
    def frozen_epochs(self) -> int:
        """Epochs that really are frozen: none for a random init."""
        return 0 if self.init == "random" else self.freeze_epochs

    @property
    def norm_in_eval(self) -> bool:
        """Whether the backbone's batch-norm keeps its statistics after unfreezing."""
        return self.batch_norm == "eval" or (self.batch_norm == "auto" and self.init != "random")

    @property
    def backbone_lr(self) -> float:
        """Initial learning rate of the backbone once it is unfrozen."""
        return self.lr if self.init == "random" else self.lr_backbone

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
