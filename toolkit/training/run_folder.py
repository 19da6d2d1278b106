"""The files of a training run: what each holds, and when it is written."""

import math
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NotRequired, TypedDict, cast

from toolkit.errors import ToolkitError
from toolkit.files import atomic_file, atomic_write_json, one_at_a_time, read_json
from toolkit.folders import RUN, check_folder
from toolkit.metrics import Baselines, NamedScore
from toolkit.model.checkpoint import Checkpoint, Metrics, load_checkpoint, load_torch, save_checkpoint, save_torch
from toolkit.model.config import ModelConfig
from toolkit.model.provenance import InitRecord, TeacherRecord
from toolkit.option import Options
from toolkit.shapes import shaped
from toolkit.training.config import Extension

FORMAT_VERSION = 1
_MEND = "Copy the run folder again, or train again."
Metric = Literal["macro_f1", "accuracy", "regret"]
"""Validation scores by which an epoch may be chosen."""


class ValidationScores(Metrics):
    """Metrics of a model on the validation split, with the confusion (rows: true class) and the loss there."""

    confusion: list[list[int]]
    val_loss: NotRequired[float]


class Epoch(ValidationScores):
    """One entry of a run's history. `groups`: how many of the backbone's layer groups learnt."""

    epoch: int
    phase: str
    loss: float
    lr: float
    lr_backbone: float
    groups: int
    seconds: NotRequired[float]


class DataRecord(TypedDict):
    """The data set that a run is trained on."""

    path: str
    sha256: str


class BlockCounts(TypedDict):
    """Blocks of a run. `others`: training blocks of the second task alone."""

    train: int
    others: int
    val: int


class ExtensionRecord(TypedDict):
    """A `config.Extension`."""

    epochs: int
    lr: float


class RunDescription(TypedDict):
    """What run.json holds. `model` and `train`: the configs' `to_dict`; `train_sources`: sha256 of each source.

    `start`, `weights` and `teacher`: absolute paths, as they were given.
    """

    kind: NotRequired[str]
    format_version: NotRequired[int]
    run: str
    model: Options
    train: Options
    data: DataRecord
    train_sources: list[str]
    blocks: BlockCounts
    baselines: Baselines
    environment: dict[str, str]
    start: str | None
    weights: str | None
    teacher: str | None
    init: NotRequired[InitRecord]
    taught_by: NotRequired[TeacherRecord]
    extensions: NotRequired[list[ExtensionRecord]]


class _Model(TypedDict):
    stage: str
    backbone: str


class _Train(TypedDict):
    epochs: int
    seed: int
    limit_val: int | None


class _Baselines(TypedDict):
    best_constant: NamedScore


class _Init(TypedDict):
    kind: str
    backbone_sha256: str


class _ReliedOn(TypedDict):
    """What run.json has to hold at least."""

    run: str
    model: _Model
    train: _Train
    data: DataRecord
    blocks: dict[str, object]
    baselines: _Baselines
    init: _Init
    extensions: NotRequired[list[ExtensionRecord]]


class State(TypedDict):
    """What latest.pt holds: the last finished epoch, the states of optimiser and second task, and the history."""

    epoch: int
    optimizer: dict[str, object]
    auxiliary: NotRequired[dict[str, object]]
    history: list[Epoch]


@dataclass(frozen=True)
class RunFolder:
    """A run folder: run.json, checkpoints/epoch-001.pt ... and latest.pt, and the field's stageN_model_best.pt etc."""

    path: Path

    @classmethod
    def open(cls, path: Path | str) -> "RunFolder":
        """Open an existing run; ToolkitError where there is none, or one of another version."""
        run = cls(Path(path))
        check_folder(run.path, RUN)
        description = run.read()
        if description.get("kind") != RUN.kind or description.get("format_version") != FORMAT_VERSION:
            found = f"{description.get('kind')} version {description.get('format_version')}"
            raise ToolkitError(f"{path}: {found}, this av1part reads {RUN.kind} version {FORMAT_VERSION}. Train again.")
        missing = sorted({"run", "model", "train", "data", "blocks", "baselines"} - set(description))
        if missing:
            raise ToolkitError(
                f"{path}/run.json: without {', '.join(missing)}. Copy the run folder again, or train again."
            )
        shaped(description, _ReliedOn, f"{path}/run.json", _MEND)
        ModelConfig.from_dict(description["model"])
        return run

    def read(self) -> RunDescription:
        """Read run.json; ToolkitError where it holds no object."""
        value = read_json(self.path / "run.json")
        if not isinstance(value, dict):
            raise ToolkitError(f"{self.path}/run.json: not a run's. Train again.")
        return cast(RunDescription, value)

    def data_path(self, given: Path | None = None) -> Path:
        """Path of the run's data set: `given`, or where it lay in training; ToolkitError where it has moved."""
        path = given or Path(self.read()["data"]["path"])
        if given is None and not path.exists():
            raise ToolkitError(f"{self.path}: its data set is no longer at {path}. Name its place with --data.")
        return path

    @property
    def _lock(self) -> Path:
        return self.path / ".lock"

    def alone(self) -> AbstractContextManager[None]:
        """Context of the one process that trains the run; ToolkitError where another does."""
        return one_at_a_time(self._lock, f"{self.path}: another process is training this run. Wait for it, or end it.")

    def create(self, description: RunDescription) -> None:
        """Start a run: write run.json. ToolkitError where the folder is not empty."""
        if self.path.exists() and any(path != self._lock for path in self.path.iterdir()):
            raise ToolkitError(f"{self.path} is not empty. Choose another name, or go on with it with --resume.")
        atomic_write_json(self.path / "run.json", {"kind": RUN.kind, "format_version": FORMAT_VERSION, **description})

    def epoch_path(self, epoch: int) -> Path:
        """Path of the checkpoint of an epoch (1-based)."""
        return self.path / "checkpoints" / f"epoch-{epoch:03d}.pt"

    def artefact(self, name: str) -> Path:
        """Path of this stage's model_best.pt, model_final.pt, history.pt or metrics.json, e.g. stage2_model_best.pt."""
        stage = str(self.read()["model"]["stage"]).replace("-", "_")
        return self.path / f"stage{stage}_{name}"

    def history(self) -> list[Epoch]:
        """Entries of the finished epochs, oldest first; empty before the first."""
        return list(self.latest()["history"]) if (self.path / "checkpoints" / "latest.pt").is_file() else []

    def latest(self) -> State:
        """State of the run after its last finished epoch; ToolkitError where the file is missing or another."""
        path = self.path / "checkpoints" / "latest.pt"
        value = load_torch(path)
        if not isinstance(value, dict) or not {"epoch", "optimizer", "history"} <= set(value):
            raise ToolkitError(f"{path}: not the state of a run. Copy the run folder again, or train again.")
        return cast(State, value)

    def write_epoch(
        self, checkpoint: Checkpoint, optimizer: dict[str, object], auxiliary: dict[str, object], history: list[Epoch]
    ) -> None:
        """Write the epoch's checkpoint, then the latest state: a stop between the two only repeats the epoch.

        `auxiliary`: weights that only training has.
        """
        save_checkpoint(self.epoch_path(checkpoint.epoch), checkpoint)
        state: State = {"epoch": checkpoint.epoch, "optimizer": optimizer, "auxiliary": auxiliary, "history": history}
        save_torch(self.path / "checkpoints" / "latest.pt", state)
        self._publish(history)

    def _publish(self, history: list[Epoch]) -> None:
        """Write the files named after the stage; all of them follow from the history and the epochs' checkpoints."""
        best = best_epoch(history)
        if best is not None:
            copy(self.epoch_path(best["epoch"]), self.artefact("model_best.pt"))
        save_torch(self.artefact("history.pt"), history)
        atomic_write_json(self.artefact("metrics.json"), {"best": _summary(best), "final": _summary(history[-1])})

    def extensions(self) -> list[Extension]:
        """Extensions of the run, in the order in which they were planned."""
        return [Extension(**e) for e in self.read().get("extensions", [])]

    def extend(self, extension: Extension) -> None:
        """Add an extension to run.json; ToolkitError where the epochs planned so far are not finished."""
        description = self.read()
        extensions = description.setdefault("extensions", [])
        planned = description["train"]["epochs"] + sum(e["epochs"] for e in extensions)
        done = len(self.history())
        if done < planned:
            raise ToolkitError(f"{self.path}: {done} of {planned} epochs are finished. First --resume it to its end.")
        extensions.append({"epochs": extension.epochs, "lr": extension.lr})
        atomic_write_json(self.path / "run.json", description)

    def finish(self, history: list[Epoch]) -> None:
        """Copy the last epoch's checkpoint as the final one.

        The other files are written again: a full disk may have stopped the last epoch before them.
        """
        self._publish(history)
        copy(self.epoch_path(history[-1]["epoch"]), self.artefact("model_final.pt"))


def checkpoint_file(path: Path, epoch: int | None, best: Callable[[RunFolder], Path]) -> Path | None:
    """Path of the checkpoint that is meant by a checkpoint file, or by a run folder and perhaps an epoch.

    `best` finds the checkpoint of a run where no epoch is given: `recorded_best` or `selection.reevaluated_best`. None
    where the run has no such epoch, and for an epoch of a single file. Raises ToolkitError on a folder that is no run.
    """
    if not path.is_dir():
        return path if epoch is None else None
    run = RunFolder.open(path)
    if epoch is None:
        return best(run)
    file = run.epoch_path(epoch)
    return file if file.is_file() else None


def recorded_best(run: RunFolder) -> Path:
    """Path of the checkpoint with the highest validation macro-F1 in the run's own history, not evaluated again."""
    return run.artefact("model_best.pt")


def open_checkpoint(path: Path, epoch: int | None = None) -> Checkpoint:
    """Load a checkpoint file, or an epoch (None: the recorded best) of a run; ToolkitError where there is none such."""
    file = checkpoint_file(path, epoch, recorded_best)
    if file is not None:
        return load_checkpoint(file)
    if path.is_dir():
        raise ToolkitError(f"{path} has no epoch {epoch}; {len(RunFolder(path).history())} are finished.")
    raise ToolkitError(f"{path} is one checkpoint: an epoch can be chosen only of a run folder.")


def best_epoch(history: list[Epoch], metric: Metric = "macro_f1") -> Epoch | None:
    """Entry of the highest value (of `regret`: the lowest), the earlier of two equal ones.

    None where no epoch has a value that is a number.
    """
    sign = -1 if metric == "regret" else 1
    finite = [e for e in history if not math.isnan(e.get(metric, math.nan))]
    return max(finite, key=lambda e: (sign * e[metric], -e["epoch"])) if finite else None


def copy(source: Path, target: Path) -> None:
    """Copy a file atomically."""
    with atomic_file(target) as temporary:
        shutil.copyfile(source, temporary)


def _summary(epoch: Epoch | None) -> dict[str, object] | None:
    """Entry of metrics.json: the scores of an epoch, None for those that are not a number."""
    if epoch is None:
        return None
    whole = cast(dict[str, object], epoch)
    flat = {k: v for k, v in whole.items() if k in ("epoch", "macro_f1", "accuracy", "regret") or k.endswith("_f1")}
    return {k: v if v == v else None for k, v in flat.items()}
