"""Training one stage. Reads top to bottom: data, model, optimiser, then one epoch after another."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from toolkit.augment import draw_views, turn_each, turned_labels
from toolkit.blocks import Blocks, BlockSet
from toolkit.checkpoint import Checkpoint, environment, load_checkpoint
from toolkit.errors import ToolkitError
from toolkit.feature_cache import FeatureCache, worth_caching
from toolkit.initial import initialise
from toolkit.losses import make_loss
from toolkit.metrics import baselines, classification_metrics, flat_f1
from toolkit.model import Classifier, PartitionNet, predict
from toolkit.model_config import ModelConfig
from toolkit.partition import STAGES
from toolkit.report import draw_run
from toolkit.run_folder import Epoch, RunFolder
from toolkit.schedule import enter, layer_groups, phase_of, recalibrate
from toolkit.stratify import stratified_index
from toolkit.train_config import Extension, TrainConfig

CALIBRATION_BLOCKS = 512
Report = Callable[[str, int, int], None]
"""Called with what is being done, and how many of how many steps are."""


def train(
    data: BlockSet,
    run: RunFolder,
    model_config: ModelConfig,
    config: TrainConfig,
    *,
    start: Path | None = None,
    weights: Path | None = None,
    resume: bool = False,
    on_step: Report = lambda what, done, total: None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> list[Epoch]:
    """Train a model on the training split, evaluate every epoch on the validation split, write the run folder.

    `start`: the Stage-1 run or checkpoint for init stage1; `weights`: an ImageNet weights file. With `resume` the
    run goes on after its last finished epoch and ends as if it had not stopped (on the same machine and thread
    count, bit for bit on a CPU). Returns the history (empty in all but the first of several processes). Raises
    ToolkitError on unusable data or init, or a loss that is not a number (the epochs before it stay).
    """
    fabric = Fabric(accelerator=config.device, devices=config.devices, precision=config.precision)  # type: ignore[arg-type]
    fabric.launch()
    train_blocks = data.split_blocks("train", model_config.stage, config.limit_train, config.seed)
    val_blocks = validation_blocks(data, model_config.stage, config.limit_val)
    counts = torch.from_numpy(np.bincount(train_blocks.target, minlength=len(model_config.classes)))
    loss_function = fabric.to_device(make_loss(config.loss, counts, config.beta, config.gamma))

    torch.manual_seed(config.seed)
    model = PartitionNet(replace(model_config, adapter="none"))
    description = _describe(data, run, model_config, config, train_blocks, val_blocks)
    description |= {k: str(p.resolve()) if p else None for k, p in (("start", start), ("weights", weights))}
    if resume:
        description = _description_to_resume(run, description)
        start, weights = (Path(p) if (p := description[k]) else None for k in ("start", "weights"))
    history: list[Epoch] = run.history() if resume else []
    if not history:
        description["init"] = initialise(model, config.init, data, start, weights)
        if not resume and fabric.is_global_zero:
            run.create(description)
    model.add_adapters(model_config)
    adapters = {id(p) for p in model.adapter_parameters()}
    backbone = [p for p in model.backbone.parameters() if id(p) not in adapters]
    rest = [p for n, p in model.named_parameters() if not n.startswith("backbone.") or id(p) in adapters]
    groups = [{"params": backbone, "lr": 0.0}, {"params": rest, "lr": config.lr}]
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    if history:
        latest = run.latest()
        model.load_state_dict(load_checkpoint(run.epoch_path(latest["epoch"])).model.state_dict())
        optimizer.load_state_dict(latest["optimizer"])
    fabric.to_device(model)
    fabric_optimizer: Any = fabric.setup_optimizers(optimizer)
    luma, qindex, partition = _on_device(fabric, train_blocks)
    stratified = stratified_index(val_blocks.target, val_blocks.qindex, CALIBRATION_BLOCKS, config.seed)
    extensions = [Extension(**e) for e in description.get("extensions", [])]
    last = config.epochs + sum(e.epochs for e in extensions)
    # With adapters the features change while the backbone is frozen.
    cacheable = not adapters and worth_caching(config.augment, config.frozen_epochs)
    cache = FeatureCache(model, luma, config.augment) if cacheable else None

    for epoch in range(len(history) + 1, last + 1):
        begun = time.monotonic()
        phase = phase_of(config, extensions, epoch, len(layer_groups(model)))
        if config.batch_norm == "recalibrate" and epoch == config.frozen_epochs + 1:
            recalibrate(model, luma)
        enter(model, optimizer, config, phase)
        cache = cache if phase.frozen else None
        # Wrapped anew each epoch: a distributed wrapper must know which parameters take part in this phase.
        module: Any = fabric.setup_module(model)
        # Everything random in an epoch follows from (seed, epoch): a resumed run needs no other state.
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        torch.manual_seed(config.seed * 1_000_003 + epoch)
        order = _order(config.sampler, train_blocks, generator)
        batches = _batches(order, config.batch_size, 2 * fabric.world_size)
        total = 0.0
        for step, batch in enumerate(batches):
            on_step(f"epoch {epoch}/{last}", step, len(batches))
            view = draw_views(config.augment, len(batch), generator)
            # Every process draws alike and takes its own part.
            mine = slice(fabric.global_rank, None, fabric.world_size)
            index, view = batch[mine].to(luma.device), view[mine].to(luma.device)
            targets = _targets(model_config.stage, turned_labels(partition[index], view))
            if cache is not None:
                logits = module(None, qindex[index], cache(index, view))
            else:
                logits = module(turn_each(luma[index].float(), view), qindex[index])
            loss = loss_function(logits, targets)
            if not math.isfinite(loss.item()):
                raise ToolkitError(
                    f"The loss is {loss.item()} in epoch {epoch}, batch {step + 1} of {len(batches)}. "
                    f"{len(history)} finished epochs are kept in {run.path}. Lower --lr or use --precision 32-true."
                )
            fabric_optimizer.zero_grad()
            # The wrapper averages over processes; with unequal shares that must be the mean over blocks.
            fabric.backward(loss * (len(index) * fabric.world_size / len(batch)))
            fabric_optimizer.step()
            total += loss.item() * len(index)
        on_step(f"epoch {epoch}/{last}", len(batches), len(batches))

        entry, metrics = evaluate(model, val_blocks, loss_function)
        mean = float(fabric.all_reduce(torch.tensor(total), reduce_op="sum")) / len(luma)  # type: ignore[arg-type]
        head = {"epoch": epoch, "phase": "frozen" if phase.frozen else "unfrozen", "loss": mean}
        rates = {"lr": phase.lr, "lr_backbone": phase.lr_backbone, "groups": phase.groups}
        history.append(head | rates | entry | {"seconds": time.monotonic() - begun})
        checkpoint = Checkpoint(
            model=model,
            epoch=epoch,
            metrics=metrics,
            baselines=description["baselines"],
            data_sha256=data.sha256,
            encoder=data.manifest["encoder"],
            calibration=val_blocks[stratified],
            provenance={k: description[k] for k in ("run", "train", "init", "train_sources", "environment")},
        )
        if fabric.is_global_zero:
            run.write_epoch(checkpoint, optimizer.state_dict(), history)
            on_epoch(history[-1])
    if not fabric.is_global_zero:
        return []
    run.finish(last)
    draw_run(run)
    return history


def evaluate(model: Classifier, blocks: Blocks, loss_function: torch.nn.Module | None = None) -> tuple[Epoch, Epoch]:
    """Score a model on blocks: (history line with the confusion and the loss, metrics for a checkpoint)."""
    model.eval()
    logits = predict(model, blocks.luma, blocks.qindex)
    scores = classification_metrics(blocks.target, logits.argmax(1).numpy(), model.config.classes)
    metrics = {k: v for k, v in scores.items() if k != "confusion"} | flat_f1(scores)
    if not bool(torch.isfinite(logits).all()):
        metrics["macro_f1"] = math.nan  # an argmax over NaN is a class like any other, and would be scored as one
    entry = metrics | {"confusion": scores["confusion"]}
    if loss_function is not None:
        with torch.no_grad():
            device = next(model.parameters()).device
            entry["val_loss"] = float(loss_function(logits.to(device), torch.from_numpy(blocks.target).to(device)))
    return entry, metrics


def validation_blocks(data: BlockSet, stage: str, limit: int | None) -> Blocks:
    """The validation blocks, the same for every seed: runs that are compared must be measured alike."""
    return data.split_blocks("val", stage, limit)


def _describe(
    data: BlockSet,
    run: RunFolder,
    model_config: ModelConfig,
    config: TrainConfig,
    train_blocks: Blocks,
    val_blocks: Blocks,
) -> dict[str, Any]:
    """What run.json says of a run before it starts."""
    return {
        "run": run.path.name,
        "model": model_config.to_dict(),
        "train": config.to_dict(),
        "data": {"path": str(data.path.resolve()), "sha256": data.sha256},
        # Names every source that the weights have seen, so that later steps can refuse to test on one.
        "train_sources": sorted(s["sha256"] for s in data.sources if s["split"] == "train"),
        "blocks": {"train": len(train_blocks), "val": len(val_blocks)},
        "baselines": baselines(train_blocks.target, val_blocks.target, model_config.classes),
        "environment": environment() | {"threads": str(torch.get_num_threads())},
    }


def _description_to_resume(run: RunFolder, now: dict[str, Any]) -> dict[str, Any]:
    """What the run was started with; ToolkitError where what is asked for `now` is another run."""
    then = RunFolder.open(run.path).read()
    if then["data"]["sha256"] != now["data"]["sha256"]:
        raise ToolkitError(
            f"{now['data']['path']}: not the data set that {run.path} was started on (sha256 "
            f"{now['data']['sha256'][:8]}..., expected {then['data']['sha256'][:8]}...). "
            f"Resume with {then['data']['path']}."
        )
    for key in ("model", "train", "start", "weights"):
        # The first weights may be left away now; another file in their place would be ignored in silence.
        if now[key] is not None and now[key] != then[key]:
            raise ToolkitError(f"{run.path} was started with another {key}: {then[key]!r}, now {now[key]!r}.")
    return then


def _on_device(fabric: Fabric, blocks: Blocks) -> tuple[Tensor, Tensor, Tensor]:
    """Luma as it is stored (integers), qindex (N, 1) float, AV1 ids int64, whole on the training device."""
    luma = fabric.to_device(torch.from_numpy(blocks.luma))
    qindex = fabric.to_device(torch.from_numpy(blocks.qindex)).float()[:, None]
    return luma, qindex, fabric.to_device(torch.from_numpy(blocks.partition)).long()


def _targets(stage: str, partition: Tensor) -> Tensor:
    table = torch.from_numpy(STAGES[stage].targets(np.arange(256, dtype=np.uint8)))
    return table.to(partition.device)[partition]


def _batches(order: Tensor, size: int, least: int) -> list[Tensor]:
    """The order cut into batches; a last one too small for batch-norm on every process joins the one before it."""
    batches = list(torch.split(order, size))
    if len(batches) > 1 and len(batches[-1]) < least:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _order(sampler: str, blocks: Blocks, generator: torch.Generator) -> Tensor:
    """The epoch's order of blocks: a permutation, or as many drawn with every class equally likely."""
    if sampler == "none":
        return torch.randperm(len(blocks), generator=generator)
    target = torch.from_numpy(blocks.target)
    weight = 1.0 / torch.bincount(target).clamp(min=1)[target]
    return torch.multinomial(weight, len(blocks), replacement=True, generator=generator)
