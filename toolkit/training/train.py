"""Training one stage: prepare the job, build the learner, run and record one epoch after another, finish."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from lightning_fabric import Fabric

from toolkit.data.blockset import BlockSet
from toolkit.model.config import ModelConfig
from toolkit.training.build import build
from toolkit.training.config import Extension, TrainConfig
from toolkit.training.distributed import by_the_first, start_fabric
from toolkit.training.epoch import record, run_epoch
from toolkit.training.prepare import Job, prepare
from toolkit.training.run_figures import draw_run
from toolkit.training.run_folder import Epoch, RunFolder
from toolkit.training.schedule import layer_groups, phase_of
from toolkit.training.teacher import lessons

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
