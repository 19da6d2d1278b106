"""Summary of a run: its best epochs while frozen and after unfreezing, forgetting, and convergence."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypedDict, cast

from toolkit.escaping import visible
from toolkit.metrics import ClassScores
from toolkit.model.config import ModelConfig
from toolkit.option import Options
from toolkit.training.config import RECIPES, TrainConfig
from toolkit.training.run_folder import Epoch, RunDescription, RunFolder, best_epoch

FORGETTING = 0.05
"""A loss of macro-F1 above this, from the best frozen to the best unfrozen epoch, is called forgetting."""
CHANGE = 0.01
"""A gain or loss of macro-F1 up to this is called no change, since epochs of one run differ by as much."""
CONVERGED_WITHIN = 0.01
"""A run has converged at its first epoch whose macro-F1 is within this of the run's best."""
_NOT_SETTINGS = ("seed", "recipe", "device", "devices")
_INIT_SETTINGS = ("data_sha256", "sha256")
_OUTCOME = ("loss", "val_loss", "macro_f1", "accuracy")


class EpochScores(TypedDict):
    """Scores of an epoch on the validation split."""

    epoch: int
    macro_f1: float
    accuracy: float
    per_class: dict[str, ClassScores]


class RunRecord(TypedDict):
    """A run as --json gives it; `best_of_class`, `gain` and the rest as in `RunSummary`."""

    run: str
    seed: int
    epochs: int
    finished: bool
    best: EpochScores | None
    best_frozen: EpochScores | None
    best_unfrozen: EpochScores | None
    best_of_class: dict[str, float | None]
    gain: float | None
    verdict: str
    converged_epoch: int | None
    seconds: float | None


@dataclass(frozen=True)
class RunSummary:
    """A run folder, read once. `name` is its name in reports: that of the folder, as it was given."""

    path: Path
    name: str
    description: RunDescription
    history: list[Epoch]

    @classmethod
    def read(cls, path: Path) -> "RunSummary":
        """Read a run folder. Raises ToolkitError where there is none."""
        run = RunFolder.open(path)
        name = path.name if path.name not in ("", "..") else path.resolve().name
        return cls(path, visible(name), run.read(), run.history())

    @property
    def stage(self) -> str:
        return str(self.description["model"]["stage"])

    @property
    def classes(self) -> tuple[str, ...]:
        return ModelConfig.from_dict(self.description["model"]).classes

    @property
    def data_sha256(self) -> str:
        return str(self.description["data"]["sha256"])

    @property
    def backbone(self) -> str:
        return str(self.description["model"]["backbone"])

    @property
    def init(self) -> str:
        return str(self.description["init"]["kind"])

    @property
    def recipe(self) -> str:
        """Name of the recipe; of the init, where no recipe was named."""
        return str(self.description["train"].get("recipe") or self.init)

    @property
    def seed(self) -> int:
        return int(self.description["train"]["seed"])

    @property
    def start(self) -> str:
        """Hash of the first weights, since two runs of one seed may start from different Stage 1 models."""
        return str(self.description["init"]["backbone_sha256"])

    @cached_property
    def outcome(self) -> list[tuple[float | None, ...]]:
        """Losses and scores of every epoch. Runs that have these alike to the last digit have equal weights."""
        return [tuple(cast(dict[str, float], e).get(key) for key in _OUTCOME) for e in self.history]

    @cached_property
    def settings(self) -> Options:
        """All that decides a run except chance and the machine. Runs of equal settings differ in the seed alone."""
        # A run made before an option existed was trained with the option's default.
        options = TrainConfig().to_dict() | self.description["train"]
        train = {k: v for k, v in options.items() if k not in _NOT_SETTINGS}
        model = ModelConfig.from_dict(self.description["model"]).to_dict()
        init = {f"init {k}": v for k, v in self.description["init"].items() if k in _INIT_SETTINGS}
        init["teacher"] = self.description.get("taught_by", {}).get("sha256")
        return {**model, **train, **init, "extensions": self.description.get("extensions", [])}

    @property
    def changed(self) -> set[str]:
        """Names of the settings that differ from the recipe (from the defaults, where no recipe was named)."""
        recipe = RECIPES.get(self.recipe)
        own = ModelConfig().to_dict() | TrainConfig().to_dict() | (recipe.options if recipe else {})
        return {k for k, v in self.settings.items() if v != own.get(k)}

    @property
    def planned(self) -> int:
        """Number of epochs that the run is to have, extensions included."""
        extensions = sum(int(e["epochs"]) for e in self.description.get("extensions", []))
        return int(self.description["train"]["epochs"]) + extensions

    @property
    def finished(self) -> bool:
        return len(self.history) >= self.planned

    @cached_property
    def best(self) -> Epoch | None:
        return best_epoch(self.history)

    @cached_property
    def best_frozen(self) -> Epoch | None:
        return best_epoch([e for e in self.history if e["phase"] == "frozen"])

    @cached_property
    def best_unfrozen(self) -> Epoch | None:
        return best_epoch([e for e in self.history if e["phase"] != "frozen"])

    @property
    def gain(self) -> float | None:
        """Best macro-F1 after unfreezing minus the best while frozen; None where the run lacks either phase."""
        if self.best_frozen is None or self.best_unfrozen is None:
            return None
        return float(self.best_unfrozen["macro_f1"] - self.best_frozen["macro_f1"])

    @property
    def drop(self) -> float | None:
        """Macro-F1 of the last frozen epoch minus that of the first unfrozen one; None as for `gain`."""
        unfrozen = next((i for i, e in enumerate(self.history) if e["phase"] != "frozen"), 0)
        if unfrozen == 0:
            return None
        return float(self.history[unfrozen - 1]["macro_f1"] - self.history[unfrozen]["macro_f1"])

    @property
    def verdict(self) -> str:
        """Effect of unfreezing, in words."""
        return judge(self.gain, self.drop, frozen=self.best_frozen is not None)

    @property
    def converged(self) -> int | None:
        """First epoch whose macro-F1 is within CONVERGED_WITHIN of the best."""
        if self.best is None:
            return None
        enough = self.best["macro_f1"] - CONVERGED_WITHIN
        return next(int(e["epoch"]) for e in self.history if e["macro_f1"] >= enough)

    @property
    def seconds(self) -> float | None:
        """Wall time of all epochs, in seconds; None where the run did not record it."""
        times = [e.get("seconds") for e in self.history]
        return None if not times or None in times else float(sum(filter(None, times)))

    def to_dict(self) -> RunRecord:
        """Plain values for --json."""
        return {
            "run": str(self.path),
            "seed": self.seed,
            "epochs": len(self.history),
            "finished": self.finished,
            "best": _scores(self.best),
            "best_frozen": _scores(self.best_frozen),
            "best_unfrozen": _scores(self.best_unfrozen),
            "best_of_class": {name: self.best_of_class(name) for name in self.classes},
            "gain": self.gain,
            "verdict": self.verdict,
            "converged_epoch": self.converged,
            "seconds": self.seconds,
        }

    def best_of_class(self, name: str) -> float | None:
        """Highest F1 of the class in any epoch; None without an epoch."""
        return max((float(e["per_class"][name]["f1"]) for e in self.history), default=None)


def _scores(entry: Epoch | None) -> EpochScores | None:
    if entry is None:
        return None
    return {
        "epoch": entry["epoch"],
        "macro_f1": entry["macro_f1"],
        "accuracy": entry["accuracy"],
        "per_class": entry["per_class"],
    }


def judge(gain: float | None, drop: float | None, *, frozen: bool) -> str:
    """Name the effect of unfreezing on macro-F1. `frozen`: whether the run has frozen epochs at all."""
    if gain is None:
        return "never unfrozen" if frozen else "never frozen"
    if gain < -FORGETTING:
        return "catastrophic forgetting"
    if gain < -CHANGE:
        return "loss"
    if drop is not None and drop > FORGETTING:
        return "dropped, recovered"
    return "gain" if gain > CHANGE else "no change"
