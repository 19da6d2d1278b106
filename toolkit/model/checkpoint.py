"""Checkpoints: one file from which a model is rebuilt, evaluated, exported and proven, without unpickling code."""

import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor

from toolkit.data.blockset import Blocks
from toolkit.data.encoder_settings import EncoderRecord
from toolkit.errors import ToolkitError, first_line, plain_system_errors
from toolkit.files import atomic_file
from toolkit.metrics import Baselines, ClassScores
from toolkit.model.checkpoint_format import check_values
from toolkit.model.config import ModelConfig
from toolkit.model.ensemble import make_model
from toolkit.model.network import Classifier
from toolkit.model.provenance import Provenance

FORMAT = "av1part-checkpoint"
FORMAT_VERSION = 1
_BLOCK_FIELDS = ("luma", "qindex", "partition", "target", "source", "frame", "row", "column")


class Metrics(TypedDict):
    """Scores of a model on blocks. Each class's F1 is also there under its own name, as `metrics.flat_f1` gives it.

    With RD costs also the entries of `costs.regret_metrics`, in percent of RD cost (`regret_exact`: 0 to 1).
    """

    accuracy: float
    macro_f1: float
    per_class: dict[str, ClassScores]
    regret: NotRequired[float]
    regret_best_constant: NotRequired[float]
    regret_exact: NotRequired[float]


@dataclass(frozen=True)
class Checkpoint:
    """A model (in evaluation mode, on the CPU) with its record.

    `metrics` and `baselines`: on the validation split. `encoder`: settings of the encoder whose decisions it learnt.
    `calibration`: some validation blocks, so that the file alone can be exported and proven.
    """

    model: Classifier
    epoch: int
    metrics: Metrics
    baselines: Baselines
    data_sha256: str
    encoder: EncoderRecord
    calibration: Blocks
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def config(self) -> ModelConfig:
        return self.model.config

    @property
    def stage(self) -> str:
        return self.model.config.stage

    @property
    def macro_f1(self) -> float:
        """Recorded macro-F1 on the validation split; ToolkitError where none is recorded."""
        if "macro_f1" not in self.metrics:
            raise ToolkitError("The checkpoint records no macro-F1, so what it is worth is not known. Train again.")
        return self.metrics["macro_f1"]


def save_torch(path: Path, value: Any) -> None:
    """Write a value with torch.save, atomically; the same value gives the same bytes."""
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        try:
            # given a path, it would write the temporary file's name into the archive
            torch.save(_unshared(value, {}), file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # the writer's own message hides the system's
                raise error.__context__ from None
            raise


def _unshared(value: Any, texts: dict[str, str]) -> Any:
    """Copy of plain values in which equal texts are one object and no container is shared.

    Pickle writes an object once and then refers to it, so that equal values of other identities have other bytes.
    """
    if type(value) is str:
        return texts.setdefault(value, value)
    if type(value) is dict:
        return {_unshared(k, texts): _unshared(v, texts) for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_unshared(v, texts) for v in value)
    return value


def load_torch(path: Path) -> Any:
    """Load tensors and plain values, never code; ToolkitError where the file is missing, damaged or holds more."""
    if not path.is_file():
        raise ToolkitError(f"{path}: no such file.")
    _check_archive(path)
    try:
        with plain_system_errors():
            return torch.load(path, map_location="cpu", weights_only=True)
    except ToolkitError:
        raise
    except Exception as error:  # torch raises many kinds: zip, pickle, runtime, key
        # torch's first line advises to switch the safety off; a later one names what it found.
        wanted = re.search(r"[Uu]nsupported (\w+: )?(GLOBAL )?\S+|(?<=WeightsUnpickler error: ).+", str(error))
        reason = wanted[0][:200] if wanted else first_line(error, 200)
        raise ToolkitError(
            f"{path}: not loadable as a file of tensors and plain values ({reason}). It is damaged, or a pickle that "
            "would run code; it was not run."
        ) from None


def _check_archive(path: Path) -> None:
    """Raise ToolkitError where a small file would unpack to a large one; torch.save compresses nothing."""
    try:
        if not zipfile.is_zipfile(path):
            return  # damaged, or torch's older format, which packs nothing
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except Exception as error:  # zipfile raises many kinds on a directory of nonsense
        raise ToolkitError(f"{path}: a damaged archive ({error}). Copy or make it again.") from None
    total, size = sum(entry.file_size for entry in entries), path.stat().st_size
    if total > size or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ToolkitError(
            f"{path}: {size} bytes that would unpack to {total}; torch.save compresses nothing. It was not opened."
        )


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically."""
    blocks = {k: torch.from_numpy(np.ascontiguousarray(getattr(checkpoint.calibration, k))) for k in _BLOCK_FIELDS}
    save_torch(
        path,
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "config": checkpoint.config.to_dict(),
            "model_state_dict": checkpoint.model.state_dict(),
            "epoch": checkpoint.epoch,
            "metrics": checkpoint.metrics,
            "baselines": checkpoint.baselines,
            "data_sha256": checkpoint.data_sha256,
            "encoder": checkpoint.encoder,
            "calibration": blocks | {k: getattr(checkpoint.calibration, k) for k in ("bit_depth", "node")},
            "provenance": checkpoint.provenance,
        },
    )


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Rebuild the model of a checkpoint.

    Raises ToolkitError on a damaged file, another format or version, or weights with missing or unexpected names.
    """
    path = Path(path)
    values = load_torch(path)
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ToolkitError(f"{path}: not a checkpoint of av1part (format {_found(values)!r}, expected {FORMAT!r}).")
    if values.get("format_version") != FORMAT_VERSION:
        raise ToolkitError(
            f"{path}: checkpoint version {values.get('format_version')}, this av1part reads {FORMAT_VERSION}. "
            "Use the av1part that wrote it, or train again."
        )
    check_values(values, str(path))
    try:
        model = make_model(values["config"])
        load_weights(model, values["model_state_dict"], str(path))
        blocks = values["calibration"]
        tensors = {k: v.numpy() for k, v in blocks.items() if isinstance(v, Tensor)}
        calibration = Blocks(**blocks | tensors)
        if calibration.window != model.config.window:
            raise ToolkitError(
                f"{path}: its calibration blocks show a {calibration.window}, its model takes a {model.config.window}. "
                "Train again."
            )
        return Checkpoint(
            model=model.eval(),
            calibration=calibration,
            **{k: values[k] for k in ("epoch", "metrics", "baselines", "data_sha256", "encoder", "provenance")},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ToolkitError(f"{path}: a checkpoint with a part missing or malformed ({error}). Train again.") from None


def load_weights(module: torch.nn.Module, state: dict[str, Tensor], what: str) -> None:
    """Load a whole state dict; ToolkitError lists missing and unexpected names, and wrong shapes and dtypes."""
    own = module.state_dict()
    missing, unexpected = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    both = sorted(set(own) & set(state))
    wrong = [f"{k}: {tuple(state[k].shape)}, not {tuple(own[k].shape)}" for k in both if state[k].shape != own[k].shape]
    kinds = [f"{k}: {state[k].dtype}, not {own[k].dtype}" for k in both if state[k].dtype != own[k].dtype]
    if missing or unexpected or wrong or kinds:
        raise ToolkitError(
            f"{what}: the weights are not this model's. Missing: {_some(missing)}. Unexpected: {_some(unexpected)}. "
            f"Wrong shape: {_some(wrong)}. Wrong dtype: {_some(kinds)}."
        )
    module.load_state_dict(state)


def _some(names: list[str]) -> str:
    """The first of the names, in words."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"{names[:8]!s:.600}{more}" if names else "none"


def environment() -> dict[str, str]:
    """Versions of the packages that decide a result, and the git revision of the code if it is in a repository."""
    found = {name: version(name) for name in ("torch", "torchvision", "numpy", "scikit-learn", "lightning-fabric")}
    here = Path(__file__).resolve().parents[2]
    if shutil.which("git") is None or not (here / ".git").exists():
        return found
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    return found | {"git": git.stdout.strip()}


def _found(values: Any) -> Any:
    return values.get("format") if isinstance(values, dict) else type(values).__name__
