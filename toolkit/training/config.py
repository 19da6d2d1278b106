"""Every option of a training run and its default, the field's protocol for Stage 2, and named recipes.

A recipe is a set of options that a user may override. Light: imports no torch.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from toolkit.data.inside import INSIDE
from toolkit.errors import ToolkitError
from toolkit.shapes import check_fields

INITS = ("imagenet", "stage1", "random")
LOGGERS = ("csv", "tensorboard")
BATCH_NORMS = ("auto", "eval", "train", "recalibrate")
SAMPLERS = ("none", "balanced")
COST_LOSSES = ("regret", "cost-ce", "cost-focal")
"""Losses that need a data set with RD costs (`av1part label --with-costs`)."""
LOSSES = ("cb-focal", "focal", "cross-entropy", *COST_LOSSES)
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
AUTO = "auto"
"""In place of a precision: `toolkit.training.speed` chooses one before the run starts, and the run records that."""
COMPILE = ("none", "default", "reduce-overhead")


@dataclass(frozen=True)
class Extension:
    """More epochs after a finished run: the head's rate starts again at `lr`, the backbone's in proportion."""

    epochs: int
    lr: float


@dataclass(frozen=True)
class TrainConfig:
    """Options of `av1part train`.

    `freeze_epochs`: epochs in which only the head learns; the backbone's batch-norm keeps its statistics.
    `lr`: learning rate of the head. It is constant while the backbone is frozen; then both rates fall by a cosine to 0
    over the other epochs. A random init is never frozen, and its backbone learns at `lr`.
    `gradual`: epochs between one layer group's unfreezing and the next; 0 unfreezes all at once.
    `batch_norm`: mode of the backbone's batch-norm after unfreezing. eval keeps its statistics, train learns them,
    recalibrate measures them once on the training blocks; auto is eval for a pretrained backbone, train for a random
    one.
    `regret_cap`: share of RD cost above which a wrong choice costs no more in cost-ce and cost-focal.
    `auxiliary`: weight of the second task, to name the AV1 partition of every decided node
    (toolkit.training.losses); 0 for none. It exists in training alone.
    `distil`: share of the teacher (toolkit.training.teacher) in the stage's loss, 0 to 1; the labels have the rest.
    `distil_temperature`: divisor of the teacher's logits and the model's own in the teacher's part of the loss.
    `limit_train`, `limit_val`: largest number of blocks. The training blocks are drawn by seed; the validation blocks
    are the same for every seed. `recipe`: name of the recipe that was asked for.
    The other options change how a run is computed, not what: `precision`, `channels_last` (memory layout), `compile`
    (torch.compile's mode; reduce-overhead uses CUDA graphs), `fused` (the optimiser's step as one kernel), `cache_gib`
    (memory for features of the frozen backbone; features that do not fit are computed at each use).

    Raises ToolkitError on values that are out of range or do not go together.
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
    regret_cap: float = 0.05
    auxiliary: float = 0.0
    distil: float = 1.0
    distil_temperature: float = 2.0
    augment: str = "flips"
    batch_norm: str = "auto"
    gradual: int = 0
    sampler: str = "none"
    seed: int = 42
    limit_train: int | None = None
    limit_val: int | None = None
    recipe: str | None = None
    device: str = "auto"
    devices: int = 1
    precision: str = "32-true"
    channels_last: bool = False
    compile: str = "none"
    fused: bool = False
    cache_gib: float = 1.25

    def __post_init__(self) -> None:
        if self.init not in INITS:
            raise ToolkitError(f"Init {self.init!r}: expected one of {', '.join(INITS)}.")
        if not 0 < self.regret_cap <= 1:
            raise ToolkitError(f"regret-cap {self.regret_cap}: expected a share of RD cost above 0, at most 1.")
        if not 0 <= self.auxiliary < float("inf"):
            raise ToolkitError(f"auxiliary {self.auxiliary}: expected a weight of 0 (no second task) or more.")
        if not 0 <= self.distil <= 1 or not 0.1 <= self.distil_temperature < float("inf"):
            raise ToolkitError(
                f"distil {self.distil}, distil-temperature {self.distil_temperature}: expected a share from 0 to 1, "
                "and a temperature of at least 0.1."
            )
        if self.auxiliary and self.sampler == "balanced":
            raise ToolkitError(
                f"A balanced sampler draws the stage's classes, and the second task (auxiliary {self.auxiliary:g}) "
                "also has nodes that belong to none. Leave one of them away."
            )
        if min(self.epochs, self.batch_size) < 1 or self.freeze_epochs < 0:
            raise ToolkitError(
                f"epochs {self.epochs}, freeze-epochs {self.freeze_epochs}, batch-size {self.batch_size}: expected "
                "at least 1 epoch, a batch of at least 1, and no negative number."
            )
        if not 0 < self.lr < float("inf") or not 0 <= self.lr_backbone < float("inf"):
            raise ToolkitError(
                f"lr {self.lr}, lr-backbone {self.lr_backbone}: expected a finite rate above 0 for the head, and of 0 "
                "or more for the backbone."
            )
        if self.devices < 1:
            raise ToolkitError(f"devices {self.devices}: expected at least 1.")

    @property
    def frozen_epochs(self) -> int:
        """Number of epochs with a frozen backbone: none for a random init."""
        return 0 if self.init == "random" else min(self.freeze_epochs, self.epochs)

    @property
    def norm_in_eval(self) -> bool:
        """Whether the backbone's batch-norm keeps its statistics after unfreezing."""
        return self.batch_norm in ("eval", "recalibrate") or (self.batch_norm == "auto" and self.init != "random")

    @property
    def backbone_lr(self) -> float:
        """Initial learning rate of the backbone once it is unfrozen."""
        return self.lr if self.init == "random" else self.lr_backbone

    def doubts(self) -> list[str]:
        """Warnings about options that are allowed but probably not meant."""
        found = []
        if self.frozen_epochs == self.epochs:
            found.append(
                f"All {self.epochs} epochs are frozen (--freeze-epochs {self.freeze_epochs}): the backbone stays as "
                "--init left it, and a run that starts from this one gets that."
            )
        if self.sampler == "balanced" and self.loss == "cb-focal":
            found.append(
                "A balanced sampler on top of a class-balanced loss balances twice: the rare class comes to dominate."
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values of all options."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainConfig":
        """Rebuild from `to_dict`: missing options take their defaults; ToolkitError names unknown ones."""
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            raise ToolkitError(f"Training options {unknown} are unknown to this av1part; it may be older than the run.")
        check_fields(cls, values, "Training options")
        return cls(**values)


@dataclass(frozen=True)
class Recipe:
    """A recipe: its description, its source, and the options that differ from the defaults."""

    text: str
    source: str
    options: dict[str, Any] = field(default_factory=dict)


_ALWAYS = 1_000_000  # more epochs than any run has: never unfrozen
_FIELD: dict[str, Any] = {"qindex": False}  # the field gave its networks no qindex
RECIPES = {
    "stage1-frozen": Recipe(
        "Stage-1 backbone, never unfrozen; only the head learns.",
        "the field's short-term choice",
        _FIELD | {"init": "stage1", "freeze_epochs": _ALWAYS},
    ),
    "ulmfit": Recipe(
        "Stage-1 backbone, 8 frozen epochs, then discriminative rates and a cosine (--gradual N: group by group).",
        "Howard & Ruder 2018, as the field ran it",
        _FIELD | {"init": "stage1"},
    ),
    "imagenet": Recipe(
        "The same from ImageNet weights, without Stage 1.", "the field's init B", _FIELD | {"init": "imagenet"}
    ),
    "imagenet-100": Recipe(
        "The same for 100 epochs, its cosine over all of them.",
        "the field's long run",
        _FIELD | {"init": "imagenet", "epochs": 100},
    ),
    "adapters": Recipe(
        "Stage-1 backbone frozen throughout, 1x1 residual adapters and the head learn.",
        "Rebuffi et al. 2017 (series), 2018 (parallel); Houlsby et al. 2019 (bottleneck)",
        _FIELD | {"init": "stage1", "freeze_epochs": _ALWAYS, "adapter": "series"},
    ),
    "scratch": Recipe("Random weights, nothing frozen.", "the control", {"init": "random"}),
    "best": Recipe(
        "Our small network from random weights, qindex in, all eight flips and transpositions; it learns the AV1 "
        "partition of every decided node besides.",
        "docs/experiments.md; the second task: Caruana 1997",
        {
            "init": "random",
            "backbone": "small",
            "augment": "dihedral",
            "auxiliary": 1.0,
            "epochs": 24,
            "lr": 2e-3,
        },
    ),
    **{
        f"inside-{point}": Recipe(
            f"Our small network from random weights, asked inside the search after {point.upper()}, with the features "
            "that libaom knows there (DATA of `label --search`).",
            "docs/experiments.md",
            {"init": "random", "backbone": "small", "augment": "dihedral", "epochs": 24, "lr": 2e-3, "inside": point},
        )
        for point in INSIDE
    },
}
