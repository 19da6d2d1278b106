"""The files of a training run, and what is written to each at the end of every epoch."""

import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.files import atomic_file, atomic_write_json, read_json
from toolkit.model.checkpoint import Checkpoint, load_checkpoint, load_torch, save_checkpoint, save_torch
from toolkit.training.config import Extension

KIND = "av1part-run"
FORMAT_VERSION = 1
Epoch = dict[str, Any]
"""One line of a run's history: epoch, phase, loss, lr, val_loss, accuracy, macro_f1, per_class, confusion, ..."""


@dataclass(frozen=True)
class RunFolder:
    """RUN/run.json, RUN/checkpoints/epoch-001.pt ..., latest.pt, and the field's stageN_model_best.pt and so on."""

    path: Path

    @classmethod
    def open(cls, path: Path | str) -> "RunFolder":
        """An existing run; ToolkitError where it is none, or of another version."""
        run = cls(Path(path))
        description = run.read()
        if description.get("kind") != KIND or description.get("format_version") != FORMAT_VERSION:
            found = f"{description.get('kind')} version {description.get('format_version')}"
            raise ToolkitError(f"{path}: {found}, this av1part reads {KIND} version {FORMAT_VERSION}. Train again.")
        missing = sorted({"run", "model", "train", "data", "blocks", "baselines"} - set(description))
        if missing:
            raise ToolkitError(
                f"{path}/run.json: without {', '.join(missing)}. Copy the run folder again, or train again."
            )
        return run

    def read(self) -> dict[str, Any]:
        """The content of run.json."""
        value = read_json(self.path / "run.json")
        if not isinstance(value, dict):
            raise ToolkitError(f"{self.path}/run.json: not a run's. Train again.")
        return value

    def create(self, description: dict[str, Any]) -> None:
        """Start a run: write run.json. ToolkitError where the folder already holds something."""
        if self.path.exists() and any(self.path.iterdir()):
            raise ToolkitError(f"{self.path} is not empty. Choose another name, or go on with it with --resume.")
        atomic_write_json(self.path / "run.json", {"kind": KIND, "format_version": FORMAT_VERSION, **description})

    def epoch_path(self, epoch: int) -> Path:
        return self.path / "checkpoints" / f"epoch-{epoch:03d}.pt"

    def artefact(self, name: str) -> Path:
        """stage2_model_best.pt, stage2_model_final.pt, stage2_history.pt or stage2_metrics.json, for this stage."""
        stage = str(self.read()["model"]["stage"]).replace("-", "_")
        return self.path / f"stage{stage}_{name}"

    def history(self) -> list[Epoch]:
        """The finished epochs, oldest first; empty where none is."""
        return list(self.latest()["history"]) if (self.path / "checkpoints" / "latest.pt").is_file() else []

    def latest(self) -> dict[str, Any]:
        """Optimiser state and history of the last finished epoch."""
        path = self.path / "checkpoints" / "latest.pt"
        value: dict[str, Any] = load_torch(path)
        if not isinstance(value, dict) or not {"epoch", "optimizer", "history"} <= set(value):
            raise ToolkitError(f"{path}: not the state of a run. Copy the run folder again, or train again.")
        return value

    def write_epoch(
        self, checkpoint: Checkpoint, optimizer: dict[str, Any], auxiliary: dict[str, Any], history: list[Epoch]
    ) -> None:
        """Write the epoch's weights, then the latest state: a stop between the two repeats the epoch, no more.

        `auxiliary`: weights that only training has.
        """
        save_checkpoint(self.epoch_path(checkpoint.epoch), checkpoint)
        state = {"epoch": checkpoint.epoch, "optimizer": optimizer, "auxiliary": auxiliary, "history": history}
        save_torch(self.path / "checkpoints" / "latest.pt", state)
        self._publish(history)

    def _publish(self, history: list[Epoch]) -> None:
        """Write what is named after the stage, all of which follows from the history and the epochs' files."""
        best = best_epoch(history)
        if best is not None:
            copy(self.epoch_path(best["epoch"]), self.artefact("model_best.pt"))
        save_torch(self.artefact("history.pt"), history)
        atomic_write_json(self.artefact("metrics.json"), {"best": _summary(best), "final": _summary(history[-1])})

    def extend(self, extension: Extension) -> None:
        """Plan more epochs after a finished run, and say so in run.json; ToolkitError where it is not finished."""
        description = self.read()
        extensions = description.setdefault("extensions", [])
        planned = description["train"]["epochs"] + sum(e["epochs"] for e in extensions)
        done = len(self.history())
        if done < planned:
            raise ToolkitError(f"{self.path}: {done} of {planned} epochs are finished. First --resume it to its end.")
        extensions.append(asdict(extension))
        atomic_write_json(self.path / "run.json", description)

    def finish(self, history: list[Epoch]) -> None:
        """Name the last epoch's weights as final; the rest again, for a full disk may have stopped the last epoch."""
        self._publish(history)
        copy(self.epoch_path(history[-1]["epoch"]), self.artefact("model_final.pt"))


def open_checkpoint(path: Path, epoch: int | None = None) -> Checkpoint:
    """A checkpoint file, or an epoch (None: the best) of a run folder; ToolkitError where there is none such."""
    if not path.is_dir():
        if epoch is not None:
            raise ToolkitError(f"{path} is one checkpoint: an epoch can be chosen only of a run folder.")
        return load_checkpoint(path)
    run = RunFolder.open(path)
    if epoch is None:
        return load_checkpoint(run.artefact("model_best.pt"))
    if not run.epoch_path(epoch).is_file():
        raise ToolkitError(f"{path} has no epoch {epoch}; {len(run.history())} are finished.")
    return load_checkpoint(run.epoch_path(epoch))


def best_epoch(history: list[Epoch], metric: str = "macro_f1") -> Epoch | None:
    """The epoch of the highest value (of `regret`, the lowest); the earlier of two equal ones; None where no value is
    a number."""
    sign = -1 if metric == "regret" else 1
    finite = [e for e in history if not math.isnan(e.get(metric, math.nan))]
    return max(finite, key=lambda e: (sign * e[metric], -e["epoch"])) if finite else None


def copy(source: Path, target: Path) -> None:
    """Copy a file atomically."""
    with atomic_file(target) as temporary:
        shutil.copyfile(source, temporary)


def _summary(epoch: Epoch | None) -> dict[str, Any] | None:
    if epoch is None:
        return None
    flat = {k: v for k, v in epoch.items() if k in ("epoch", "macro_f1", "accuracy", "regret") or k.endswith("_f1")}
    return {k: v if v == v else None for k, v in flat.items()}
