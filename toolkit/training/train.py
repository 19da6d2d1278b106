"""Training one stage. Reads top to bottom: data, model, optimiser, then one epoch after another."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from toolkit.data.blockset import Blocks, BlockSet
from toolkit.errors import ToolkitError
from toolkit.metrics import baselines
from toolkit.model.augment import turn_each
from toolkit.model.checkpoint import Checkpoint, environment, load_checkpoint, load_weights
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet
from toolkit.training.config import Extension, TrainConfig
from toolkit.training.distributed import by_the_first
from toolkit.training.epoch_plan import plan_epoch
from toolkit.training.execution import Execution
from toolkit.training.feature_cache import FeatureCache, worth_caching
from toolkit.training.init_weights import initialise
from toolkit.training.objective import Objective
from toolkit.training.run_figures import draw_run
from toolkit.training.run_folder import Epoch, RunFolder
from toolkit.training.schedule import enter, layer_groups, phase_of, recalibrate
from toolkit.training.second_task import WithPartition, training_blocks
from toolkit.training.teacher import lessons, open_teacher
from toolkit.training.validation import calibration_blocks, evaluate, validation_blocks

Report = Callable[[str, int, int], None]
"""Called with what is being done, and how many of how many steps are."""
_PROVENANCE = ("run", "train", "init", "taught_by", "train_sources", "environment")


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
    an `extension` beyond its end. Returns the history (empty in all but the first of several processes). Raises
    ToolkitError on unusable data, init or teacher, a full disk, or a loss that is not a number (the epochs before it
    stay).
    """
    fabric = Fabric(accelerator=config.device, devices=config.devices, precision=config.precision)  # type: ignore[arg-type]
    fabric.launch()
    train_blocks = training_blocks(data, model_config.stage, config, model_config.window)
    val_blocks = validation_blocks(data, model_config.stage, config.limit_val, model_config.window)
    description = _describe(data, run, model_config, config, train_blocks, val_blocks)
    named = {"start": start, "weights": weights, "teacher": teacher}
    description |= {k: str(p.resolve()) if p else None for k, p in named.items()}
    if resume:
        description = _description_to_resume(run, description)
        start, weights = (Path(p) if (p := description[k]) else None for k in ("start", "weights"))
        if teacher is None and description["teacher"]:
            teacher = Path(description["teacher"])
    taught_by: Checkpoint | None = None
    if teacher is not None:
        taught_by, record = open_teacher(teacher, model_config, data)
        if resume and description.get("taught_by") != record:
            then = description["teacher"] or "none"
            raise ToolkitError(f"{teacher}: not the teacher that {run.path} was started with ({then}).")
        description["taught_by"] = record
    objective = Objective(train_blocks, str(data.path), model_config, config, fabric.to_device)

    torch.manual_seed(config.seed)
    model = PartitionNet(replace(model_config, adapter="none"))
    history: list[Epoch] = run.history() if resume else []
    if not history:
        description["init"] = initialise(model, config.init, data, start, weights)
        if not resume:
            by_the_first(fabric, partial(run.create, description))
    model.add_adapters(model_config)
    adapters = {id(p) for p in model.adapter_parameters()}
    backbone = [p for p in model.backbone.parameters() if id(p) not in adapters]
    rest = [p for n, p in model.named_parameters() if not n.startswith("backbone.") or id(p) in adapters]
    learning: nn.Module = model
    auxiliary: nn.Module = nn.Identity()
    if config.auxiliary:
        learning = WithPartition(model)
        auxiliary = learning.named
        rest += auxiliary.parameters()
    groups = [{"params": backbone, "lr": 0.0}, {"params": rest, "lr": config.lr}]
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=config.fused or None)
    if history:
        latest = run.latest()
        epoch_path = run.epoch_path(latest["epoch"])
        load_weights(model, load_checkpoint(epoch_path).model.state_dict(), str(epoch_path))
        auxiliary.load_state_dict(latest.get("auxiliary", {}))
        optimizer.load_state_dict(latest["optimizer"])
    fabric.to_device(learning)
    fabric_optimizer: Any = fabric.setup_optimizers(optimizer)
    luma, qindex, partition = _on_device(fabric, train_blocks)
    calibration = calibration_blocks(val_blocks, config.seed)
    if extension is not None:  # noted once nothing is left that could be refused
        by_the_first(fabric, partial(run.extend, extension))
    extensions = [Extension(**e) for e in run.read().get("extensions", [])]
    last = config.epochs + sum(e.epochs for e in extensions)
    # With adapters the features change while the backbone is frozen.
    cacheable = not adapters and worth_caching(config.augment, config.frozen_epochs)
    cache = FeatureCache(model, luma, config.augment, config.cache_gib) if cacheable else None
    if taught_by is not None and len(history) < last:
        objective.answers = fabric.to_device(lessons(taught_by, train_blocks, fabric.to_device, on_step))
        del taught_by  # and its memory
    execution = Execution(fabric, learning, config)
    # Reading a loss makes the steps wait for a GPU, or for each other; a few at a time serve as well.
    together = 1 if luma.device.type == "cpu" and fabric.world_size == 1 else 50

    for epoch in range(len(history) + 1, last + 1):
        begun = time.monotonic()
        phase = phase_of(config, extensions, epoch, len(layer_groups(model)))
        if config.batch_norm == "recalibrate" and epoch == config.frozen_epochs + 1:
            recalibrate(model, luma)
        enter(model, optimizer, config, phase)
        cache = cache if phase.frozen else None
        module = execution.begin(phase.groups, cached=cache is not None)
        # Everything random in an epoch follows from (seed, epoch): a resumed run needs no other state.
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        torch.manual_seed(config.seed * 1_000_003 + epoch)
        plan = plan_epoch(config, model_config.stage, partition, generator, fabric.world_size)
        steps = len(plan.batches)
        losses: list[Tensor] = []
        total = 0.0
        for step, (begin, end) in enumerate(plan.batches):
            on_step(f"epoch {epoch}/{last}", step, steps)
            # Every process draws alike and takes its own part.
            mine = slice(begin + fabric.global_rank, end, fabric.world_size)
            index, view = plan.index[mine], plan.view[mine]
            if cache is not None:
                outputs = module(None, qindex[index], cache(index, view))
            else:
                outputs = module(turn_each(luma[index].float(), view, config.augment), qindex[index])
            loss = objective(outputs, plan, begin, end, fabric.global_rank, fabric.world_size)
            losses.append(loss.detach())
            if len(losses) == together or step + 1 == steps:
                for at, value in enumerate(_means(fabric, losses), step + 1 - len(losses)):
                    if not math.isfinite(value):
                        failure = ToolkitError(
                            f"The loss is {value} in epoch {epoch}, batch {at + 1} of {steps}. {len(history)} finished "
                            f"epochs are kept in {run.path}, as they were. Train again, to another folder, with a "
                            "lower --lr or --lr-backbone, or with --precision 32-true."
                        )
                        raise failure if fabric.is_global_zero else SystemExit(0)  # the first process speaks
                    total += value * (plan.batches[at][1] - plan.batches[at][0])
                losses.clear()
            fabric_optimizer.zero_grad()
            fabric.backward(loss)
            fabric_optimizer.step()
        on_step(f"epoch {epoch}/{last}", steps, steps)
        execution.end()

        entry, metrics = evaluate(model, val_blocks, objective.own)
        head = {"epoch": epoch, "phase": "frozen" if phase.frozen else "unfrozen", "loss": total / len(luma)}
        rates = {"lr": phase.lr, "lr_backbone": phase.lr_backbone, "groups": phase.groups}
        history.append(head | rates | entry | {"seconds": time.monotonic() - begun})
        checkpoint = Checkpoint(
            model=model,
            epoch=epoch,
            metrics=metrics,
            baselines=description["baselines"],
            data_sha256=data.sha256,
            encoder=data.manifest["encoder"],
            calibration=calibration,
            provenance={k: description[k] for k in _PROVENANCE if k in description},
        )
        states = optimizer.state_dict(), auxiliary.state_dict()
        by_the_first(fabric, partial(run.write_epoch, checkpoint, *states, history))
        if fabric.is_global_zero:
            on_epoch(history[-1])
    if not fabric.is_global_zero:
        return []
    run.finish(history)
    draw_run(run)
    return history


def _describe(
    data: BlockSet,
    run: RunFolder,
    model_config: ModelConfig,
    config: TrainConfig,
    train_blocks: Blocks,
    val_blocks: Blocks,
) -> dict[str, Any]:
    """What run.json says of a run before it starts."""
    own = train_blocks.target[train_blocks.target >= 0]
    return {
        "run": run.path.name,
        "model": model_config.to_dict(),
        "train": config.to_dict(),
        "data": {"path": str(data.path.resolve()), "sha256": data.sha256},
        # Names every source that the weights have seen, so that later steps can refuse to test on one.
        "train_sources": sorted(s["sha256"] for s in data.sources if s["split"] == "train"),
        "blocks": {"train": len(own), "others": len(train_blocks) - len(own), "val": len(val_blocks)},
        "baselines": baselines(own, val_blocks.target, model_config.classes),
        "environment": environment() | {"threads": str(torch.get_num_threads())},
    }


def _description_to_resume(run: RunFolder, now: dict[str, Any]) -> dict[str, Any]:
    """What the run was started with; ToolkitError where what is asked for `now` is another run."""
    then = RunFolder.open(run.path).read()
    then["model"] = ModelConfig.from_dict(then["model"]).to_dict()  # an older run says nothing of newer options
    then["train"] = TrainConfig.from_dict(then["train"]).to_dict()
    then.setdefault("teacher", None)
    if then["data"]["sha256"] != now["data"]["sha256"]:
        raise ToolkitError(
            f"{now['data']['path']}: not the data set that {run.path} was started on (sha256 "
            f"{now['data']['sha256'][:8]}..., expected {then['data']['sha256'][:8]}...). "
            f"Resume with {then['data']['path']}."
        )
    for key in ("model", "train", "start", "weights"):  # which teacher it was, its record says
        # The first weights may be left away now; another file in their place would be ignored in silence.
        if now[key] is not None and now[key] != then[key]:
            raise ToolkitError(f"{run.path} was started with another {key}: {then[key]!r}, now {now[key]!r}.")
    return then


def _on_device(fabric: Fabric, blocks: Blocks) -> tuple[Tensor, Tensor, Tensor]:
    """Luma as it is stored (integers), qindex (N, 1) float, AV1 ids int64, whole on the training device."""
    luma = fabric.to_device(torch.from_numpy(blocks.luma))
    qindex = fabric.to_device(torch.from_numpy(blocks.qindex)).float()[:, None]
    return luma, qindex, fabric.to_device(torch.from_numpy(blocks.partition)).long()


def _means(fabric: Fabric, losses: list[Tensor]) -> list[float]:
    """The losses of some batches, each the mean over the processes: all of them see what is not a number on one."""
    values: list[float] = fabric.all_reduce(torch.stack(losses), reduce_op="mean").tolist()  # type: ignore[union-attr]
    return values
