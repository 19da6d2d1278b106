"""Every option of a training run and its default, the field's protocol for Stage 2, and named recipes.

A recipe is a set of options that a user may override. Light: imports no torch.
"""

from dataclasses import asdict, dataclass, field

from toolkit.errors import ToolkitError
from toolkit.option import Options, option
from toolkit.partition import AUGMENTATIONS
from toolkit.shapes import check_fields

INITS = ("imagenet", "stage1", "random")
BATCH_NORMS = ("auto", "eval", "train", "recalibrate")
SAMPLERS = ("none", "balanced")
COST_LOSSES = ("cost-ce", "cost-focal")
"""Losses that need a data set with RD costs (`av1part label --with-costs`)."""
LOSSES = ("cb-focal", "focal", "cross-entropy", *COST_LOSSES)
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
_FORMER = (("compile", "none"),)
"""Options of runs of av1part 0.1.0 that there are no more, with the value that meant a run like today's."""
AUTO = "auto"
"""In place of a precision: `toolkit.training.speed` chooses one before the run starts, and the run records that."""
SCHEDULE, LOSS, TEACHER, BLOCKS, MACHINE = "Schedule", "Loss and samples", "Teacher", "Blocks", "Machine"
"""Groups of options in the help of `av1part train`."""


@dataclass(frozen=True)
class Extension:
    """More epochs after a finished run: the head's rate starts again at `lr`, the backbone's in proportion."""

    epochs: int
    lr: float


@dataclass(frozen=True)
class TrainConfig:
    """Options of `av1part train`; each field's help says what it is.

    The head's rate is constant while the backbone is frozen; then both rates fall by a cosine to 0 over the other
    epochs. A random init is never frozen, and its backbone learns at `lr`. While the backbone is frozen, its batch-norm
    keeps its statistics; after unfreezing, `batch_norm` eval keeps them, train learns them, and recalibrate measures
    them once on the training blocks. The second task (toolkit.training.losses) and the teacher
    (toolkit.training.teacher) exist in training alone. The options of the machine change how a run is computed, not
    what.

    Raises ToolkitError on values that are out of range or do not go together.
    """

    init: str = "stage1"
    epochs: int = option(30, "Epochs, frozen ones included.", SCHEDULE)
    freeze_epochs: int = option(8, "First epochs, backbone frozen.", SCHEDULE)
    batch_size: int = option(128, "Blocks in a step, on all devices.", SCHEDULE)
    lr: float = option(5e-4, "Learning rate of the head.", SCHEDULE)
    lr_backbone: float = option(1e-6, "Learning rate of the backbone once it is unfrozen (random init: lr).", SCHEDULE)
    weight_decay: float = option(1e-4, "Weight decay of AdamW.", SCHEDULE)
    loss: str = option("cb-focal", "cb-focal is class-balanced; cost-... need RD costs.", LOSS, LOSSES)
    beta: float = option(0.9999, "Beta of the class-balanced weights (Cui 2019).", LOSS)
    gamma: float = option(2.0, "Gamma of focal loss (Lin 2017).", LOSS)
    regret_cap: float = option(0.05, "Share of RD cost above which a wrong choice counts no more (cost-...).", LOSS)
    auxiliary: float = option(0.0, "Weight of a second task in training: name each node's AV1 partition.", LOSS)
    distil: float = option(1.0, "Share of the teacher in the loss, 0 to 1; the labels have the rest.", TEACHER)
    distil_temperature: float = option(2.0, "Temperature of both models' softmax (Hinton 2015).", TEACHER)
    augment: str = option("flips", "Random flips, or transposition too; labels turn along.", LOSS, AUGMENTATIONS)
    batch_norm: str = option("auto", "Mode once unfrozen; auto: train for a random init alone.", SCHEDULE, BATCH_NORMS)
    gradual: int = option(0, "Epochs from one layer group's unfreezing to the next; 0: all at once.", SCHEDULE)
    sampler: str = option("none", "balanced: classes equally often.", LOSS, SAMPLERS)
    seed: int = option(42, "Seed of all that is drawn at random.", BLOCKS)
    limit_train: int | None = option(None, "Most training blocks, drawn by seed.", BLOCKS)
    limit_val: int | None = option(None, "Most validation blocks, the same for every seed.", BLOCKS)
    recipe: str | None = None
    device: str = option("auto", "Accelerator of Lightning Fabric.", MACHINE, DEVICES)
    devices: int = option(1, "Devices, or CPU processes.", MACHINE)
    precision: str = option(
        "32-true", "Precision of training, not of scores; auto: what is fast here.", MACHINE, (*PRECISIONS, AUTO)
    )
    channels_last: bool = option(False, "Channels side by side in memory.", MACHINE)
    fused: bool = option(False, "AdamW's step in one kernel.", MACHINE)
    cache_gib: float = option(
        1.25, "GiB for features of a frozen backbone; what does not fit is computed at each use.", MACHINE
    )

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

    def to_dict(self) -> Options:
        """Plain values of all options."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Options) -> "TrainConfig":
        """Rebuild from `to_dict`: missing options take their defaults; ToolkitError names unknown ones."""
        values = {name: value for name, value in values.items() if (name, value) not in _FORMER}
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
    options: Options = field(default_factory=dict)


_ALWAYS = 1_000_000  # more epochs than any run has: never unfrozen
_FIELD: Options = {"qindex": False}  # the field gave its networks no qindex
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
}
