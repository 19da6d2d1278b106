"""Training one stage: prepare the job, build the learner, run and record one epoch after another, finish."""

import json
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NoReturn, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import canonical_json
from toolkit.model.augment import turn_each
from toolkit.model.checkpoint import Checkpoint
from toolkit.model.config import ModelConfig
from toolkit.model.provenance import Provenance
from toolkit.training.config import Extension, TrainConfig
from toolkit.training.data import EpochPlan, plan_epoch
from toolkit.training.execution import by_the_first, start_fabric, stop_all
from toolkit.training.learner import Learner, build
from toolkit.training.prepare import Job, prepare
from toolkit.training.report import draw_run
from toolkit.training.run_folder import Epoch, RunDescription, RunFolder
from toolkit.training.schedule import Phase, enter, layer_groups, phase_of, recalibrate
from toolkit.training.selection import evaluate
from toolkit.training.teacher import lessons

_TOGETHER = 50
"""Losses read from the device at a time: reading one makes the steps wait for a GPU, or for each other."""
_PROVENANCE = ("run", "train", "init", "taught_by", "train_sources", "environment")


def run_epoch(learner: Learner, job: Job, epoch: int, phase: Phase, report: Callable[[int, int], None]) -> float:
    """Train one epoch (1-based) in its phase; return the mean loss of its blocks.

    `report` is called with the number of finished steps and of all steps. Raises ToolkitError where a loss is not
    finite.
    """
    config, fabric, model = job.config, learner.fabric, learner.model
    luma, qindex, objective, optimizer = learner.luma, learner.qindex, learner.objective, learner.fabric_optimizer
    if config.batch_norm == "recalibrate" and epoch == config.frozen_epochs + 1:
        recalibrate(model, luma)
    enter(model, learner.optimizer, config, phase)
    if not phase.frozen:
        learner.cache = None  # the features change from now on; free their memory
    cache = learner.cache
    module = learner.execution.begin()
    # Everything random in an epoch follows from (seed, epoch): a resumed run needs no other state.
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
    torch.manual_seed(config.seed * 1_000_003 + epoch)
    plan = plan_epoch(config, job.model.stage, learner.partition, generator, fabric.world_size)
    losses = _Losses(fabric, plan, luma.device, epoch, job.run.path)
    steps = len(plan.batches)
    for step, (begin, end) in enumerate(plan.batches):
        report(step, steps)
        # Every process draws the same plan and takes its own part of each batch.
        mine = slice(begin + fabric.global_rank, end, fabric.world_size)
        index, view = plan.index[mine], plan.view[mine]
        if cache is not None:
            outputs = module(None, qindex[index], cache(index, view))
        else:
            outputs = module(turn_each(luma[index].float(), view, config.augment), qindex[index])
        loss = objective(outputs, plan, begin, end, fabric.global_rank, fabric.world_size)
        losses.add(loss)
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
    report(steps, steps)
    learner.execution.end()
    return losses.total / len(luma)


def record(learner: Learner, job: Job, epoch: int, phase: Phase, loss: float, begun: float) -> Epoch:
    """Evaluate a finished epoch, write its files and add it to the history; return its entry.

    `begun`: the epoch's start by `time.monotonic`.
    """
    scores, metrics = evaluate(learner.model, job.val_blocks, learner.objective.own)
    entry: Epoch = {
        "epoch": epoch,
        "phase": "frozen" if phase.frozen else "unfrozen",
        "loss": loss,
        "lr": phase.lr,
        "lr_backbone": phase.lr_backbone,
        "groups": phase.groups,
        **scores,
        "seconds": time.monotonic() - begun,
    }
    job.history.append(entry)
    # As run.json gives it to a resumed run, so that the files have the same bytes.
    description: RunDescription = json.loads(canonical_json(job.description))
    checkpoint = Checkpoint(
        model=learner.model,
        epoch=epoch,
        metrics=metrics,
        baselines=description["baselines"],
        data_sha256=job.data.sha256,
        encoder=job.data.manifest["encoder"],
        calibration=job.calibration,
        provenance=_provenance(description),
    )
    states = learner.optimizer.state_dict(), learner.auxiliary.state_dict()
    by_the_first(learner.fabric, partial(job.run.write_epoch, checkpoint, *states, job.history))
    return entry


class _Losses:
    """Sum of an epoch's losses over its blocks, read from the device a few batches at a time."""

    def __init__(self, fabric: Fabric, plan: EpochPlan, device: torch.device, epoch: int, run: Path) -> None:
        self.total = 0.0
        self._fabric, self._epoch, self._run = fabric, epoch, run
        self._sizes = [end - begin for begin, end in plan.batches]
        self._together = 1 if device.type == "cpu" and fabric.world_size == 1 else _TOGETHER
        self._read = 0
        self._unread: list[Tensor] = []

    def add(self, loss: Tensor) -> None:
        """Add the mean loss of the next batch; stop all processes where one is not finite."""
        self._unread.append(loss.detach())
        if len(self._unread) < self._together and self._read + len(self._unread) < len(self._sizes):
            return
        # Averaged over the processes, so that all of them see a loss that is not a number on one.
        means: list[float] = self._fabric.all_reduce(torch.stack(self._unread), reduce_op="mean").tolist()  # type: ignore[union-attr]
        self._unread.clear()
        for value in means:
            if not math.isfinite(value):
                self._stop(value)
            self.total += value * self._sizes[self._read]
            self._read += 1

    def _stop(self, value: float) -> NoReturn:
        """Stop all processes over a loss; the first one raises the ToolkitError."""
        failure = ToolkitError(
            f"The loss is {value} in epoch {self._epoch}, batch {self._read + 1} of {len(self._sizes)}. "
            f"{self._epoch - 1} finished epochs are kept in {self._run}, as they were. Train again, to another folder, "
            "with a lower --lr or --lr-backbone, or with --precision 32-true."
        )
        stop_all(failure if self._fabric.is_global_zero else None)


def _provenance(description: RunDescription) -> Provenance:
    """The part of a run's description that its checkpoints carry."""
    whole = cast(dict[str, object], description)
    return cast(Provenance, {k: whole[k] for k in _PROVENANCE if k in whole})


Report = Callable[[str, int, int], None]
"""Called with the name of the work, the number of finished steps, and the number of all steps."""


def train(
    data: BlockSet,
    run: RunFolder,
    model_config: ModelConfig,
    config: TrainConfig,
    *,
    start: Path | None = None,
    weights: Path | None = None,
    teacher: Path | None = None,
    resume: bool = False,
    extension: Extension | None = None,
    on_step: Report = lambda what, done, total: None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> list[Epoch]:
    """Train a model on the training split, evaluate every epoch on the validation split, write the run folder.

    `start`: the Stage-1 run or checkpoint for init stage1; `weights`: an ImageNet weights file; `teacher`: a run or
    checkpoint to learn from, as much as the config's `distil` says. With `resume` the run goes on after its last
    finished epoch and ends as if it had not stopped (on the same machine and thread count, bit for bit on a CPU); with
    an `extension` it goes on beyond its end. Returns the history (empty in all but the first of several processes).
    Raises ToolkitError on unusable data, init or teacher, a missing device, a full disk, or a loss that is not a
    number (the epochs before it stay).
    """
    fabric = start_fabric(config)
    with ExitStack() as held:
        by_the_first(fabric, lambda: held.enter_context(run.alone()))
        job = prepare(data, run, model_config, config, start, weights, teacher, resume=resume)
        return _train(fabric, job, extension, on_step, on_epoch)


def _train(
    fabric: Fabric, job: Job, extension: Extension | None, on_step: Report, on_epoch: Callable[[Epoch], None]
) -> list[Epoch]:
    run, config = job.run, job.config
    learner = build(fabric, job)
    if extension is not None:  # noted last, when nothing can be refused any more
        by_the_first(fabric, partial(run.extend, extension))
    extensions = run.extensions()
    first, last = len(job.history) + 1, config.epochs + sum(e.epochs for e in extensions)
    if job.teacher is not None and first <= last:
        learner.objective.answers = fabric.to_device(lessons(job.teacher, job.train_blocks, fabric.to_device, on_step))
    job.teacher = None  # frees its memory
    for epoch in range(first, last + 1):
        begun = time.monotonic()
        phase = phase_of(config, extensions, epoch, len(layer_groups(learner.model)))
        loss = run_epoch(learner, job, epoch, phase, partial(on_step, f"epoch {epoch}/{last}"))
        entry = record(learner, job, epoch, phase, loss, begun)
        if fabric.is_global_zero:
            on_epoch(entry)
    if not fabric.is_global_zero:
        return []
    run.finish(job.history)
    draw_run(run)
    return job.history
