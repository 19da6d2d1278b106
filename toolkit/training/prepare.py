"""Reading and checking all that a run is asked to do, before there is a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from toolkit.data.blockset import Blocks, BlockSet
from toolkit.errors import ToolkitError
from toolkit.metrics import baselines
from toolkit.model.checkpoint import Checkpoint, environment
from toolkit.model.config import ModelConfig
from toolkit.training.config import TrainConfig
from toolkit.training.data import calibration_blocks, training_blocks, validation_blocks
from toolkit.training.run_folder import Epoch, RunDescription, RunFolder
from toolkit.training.teacher import open_teacher

# Entries in which a resumed run must agree. Its teacher is told by its record, wherever the file lies now.
_KEPT: tuple[Literal["model", "train", "start", "weights"], ...] = ("model", "train", "start", "weights")


@dataclass
class Job:
    """A run to train: its data, its options, its description for run.json, and its finished epochs.

    `calibration`: the validation blocks that every checkpoint carries. `start` and `weights`: files of the first
    weights. `teacher`: None once its answers are known. `history`: entries of the finished epochs; it grows.
    """

    data: BlockSet
    run: RunFolder
    model: ModelConfig
    config: TrainConfig
    train_blocks: Blocks
    val_blocks: Blocks
    calibration: Blocks
    description: RunDescription
    start: Path | None
    weights: Path | None
    teacher: Checkpoint | None
    resume: bool
    history: list[Epoch]


def prepare(
    data: BlockSet,
    run: RunFolder,
    model: ModelConfig,
    config: TrainConfig,
    start: Path | None,
    weights: Path | None,
    teacher: Path | None,
    *,
    resume: bool,
) -> Job:
    """Read the blocks, describe the run (with `resume`: as it was started), and open the teacher.

    Raises ToolkitError on unusable data, on an unfit teacher, and where the run to resume had other options or files.
    """
    train_blocks = training_blocks(data, model, config)
    val_blocks = validation_blocks(data, model, config.limit_val)
    description = _describe(data, run, model, config, train_blocks, val_blocks)
    description["start"], description["weights"] = _absolute(start), _absolute(weights)
    description["teacher"] = _absolute(teacher)
    if resume:
        description = _description_to_resume(run, description)
        start, weights = _path(description["start"]), _path(description["weights"])
        teacher = teacher or _path(description["teacher"])
    opened: Checkpoint | None = None
    if teacher is not None:
        opened, record = open_teacher(teacher, model, data)
        if resume and description.get("taught_by") != record:
            then = description["teacher"] or "none"
            raise ToolkitError(f"{teacher}: not the teacher that {run.path} was started with ({then}).")
        description["taught_by"] = record
    return Job(
        data=data,
        run=run,
        model=model,
        config=config,
        train_blocks=train_blocks,
        val_blocks=val_blocks,
        calibration=calibration_blocks(val_blocks, config.seed),
        description=description,
        start=start,
        weights=weights,
        teacher=opened,
        resume=resume,
        history=run.history() if resume else [],
    )


def _describe(
    data: BlockSet, run: RunFolder, model: ModelConfig, config: TrainConfig, train_blocks: Blocks, val_blocks: Blocks
) -> RunDescription:
    """Describe a run that has not started, without the files that it was given."""
    own = train_blocks.target[train_blocks.target >= 0]
    return {
        "run": run.path.name,
        "model": model.to_dict(),
        "train": config.to_dict(),
        "data": {"path": str(data.path.resolve()), "sha256": data.sha256},
        # Names every source that the weights have seen, so that later steps can refuse to test on one.
        "train_sources": sorted(s["sha256"] for s in data.sources if s["split"] == "train"),
        "blocks": {"train": len(own), "others": len(train_blocks) - len(own), "val": len(val_blocks)},
        "baselines": baselines(own, val_blocks.target, model.classes),
        "environment": environment() | {"threads": str(torch.get_num_threads())},
        "start": None,
        "weights": None,
        "teacher": None,
    }


def _description_to_resume(run: RunFolder, now: RunDescription) -> RunDescription:
    """Description of the run as it was started; ToolkitError where `now` describes another run."""
    then = RunFolder.open(run.path).read()
    then["model"] = ModelConfig.from_dict(then["model"]).to_dict()  # fills in options newer than the run
    then["train"] = TrainConfig.from_dict(then["train"]).to_dict()
    then.setdefault("teacher", None)
    if then["data"]["sha256"] != now["data"]["sha256"]:
        raise ToolkitError(
            f"{now['data']['path']}: not the data set that {run.path} was started on (sha256 "
            f"{now['data']['sha256'][:8]}..., expected {then['data']['sha256'][:8]}...). "
            f"Resume with {then['data']['path']}."
        )
    for key in _KEPT:
        # The files may be left out now. Another file would be ignored silently, and is refused.
        if now[key] is not None and now[key] != then[key]:
            raise ToolkitError(f"{run.path} was started with another {key}: {then[key]!r}, now {now[key]!r}.")
    return then


def _absolute(path: Path | None) -> str | None:
    return str(path.resolve()) if path else None


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
