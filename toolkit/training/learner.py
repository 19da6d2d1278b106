"""The model of a run with its first weights, on its device, with all that trains it."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from toolkit.data.blockset import Blocks, BlockSet
from toolkit.errors import ToolkitError
from toolkit.model.checkpoint import Checkpoint, load_checkpoint, load_weights
from toolkit.model.network import PartitionNet
from toolkit.model.pretrained import fingerprint, load_imagenet
from toolkit.model.provenance import InitRecord, record_of
from toolkit.model.suitability import check_held_out
from toolkit.training.config import TrainConfig
from toolkit.training.execution import Execution, FeatureCache, by_the_first, worth_caching
from toolkit.training.losses import Objective, WithPartition
from toolkit.training.prepare import Job
from toolkit.training.run_folder import open_checkpoint

_log = logging.getLogger("av1part")


def initialise(model: PartitionNet, init: str, data: BlockSet, start: Path | None, weights: Path | None) -> InitRecord:
    """Set the backbone's weights and return a record of them. The head keeps its random weights.

    Raises ToolkitError where `start` or `weights` does not go with `init`, or is missing; and where the Stage-1 model
    has another backbone, window or bit depth, or was trained on a source that `data` keeps for validation or test.
    """
    if (start is None) == (init == "stage1"):
        raise ToolkitError(f"--init {init}: --from RUN_OR_CKPT is {'needed' if start is None else 'only for stage1'}.")
    if weights is not None and init != "imagenet":
        raise ToolkitError(f"--weights goes with --init imagenet, not with {init}.")
    record: InitRecord = {"kind": init}
    checkpoint = None
    if init == "imagenet":
        record.update(load_imagenet(model, weights))
    elif start is not None:
        checkpoint = open_checkpoint(start)
        _check_stage1(checkpoint, model, data, start)
        load_weights(model.backbone, checkpoint.model.get_submodule("backbone").state_dict(), str(start))
        seen = record_of(checkpoint.provenance)
        record["epoch"], record["data_sha256"] = checkpoint.epoch, checkpoint.data_sha256
        record["macro_f1"] = checkpoint.macro_f1
        record["trained_on"], record["train_sources_known"] = seen["trained_on"], seen["train_sources_known"]
    record["backbone_sha256"] = fingerprint(model.backbone.state_dict())
    before = checkpoint.provenance.get("init", {}) if checkpoint else {}
    if before.get("backbone_sha256") == record["backbone_sha256"]:
        record["unchanged"] = str(before.get("kind"))
    return record


def idle_stage1(record: InitRecord) -> str:
    """Warning where Stage 1 left its backbone as it was; empty otherwise."""
    if "unchanged" not in record:
        return ""
    return (
        f"Stage 1 has the backbone that it started from ({record['unchanged']}): its epoch {record['epoch']} came "
        f"before the backbone was unfrozen. --init stage1 changes nothing against --init {record['unchanged']}. Train "
        "Stage 1 for longer, or with fewer --freeze-epochs."
    )


def _check_stage1(checkpoint: Checkpoint, model: PartitionNet, data: BlockSet, start: Path) -> None:
    """Raise ToolkitError unless the checkpoint is a Stage-1 model whose backbone fits this one, and `data` suit it."""
    if checkpoint.stage != "1":
        raise ToolkitError(f"{start}: a checkpoint of stage {checkpoint.stage}, --init stage1 needs one of Stage 1.")
    for name in ("backbone", "bit_depth", "node", "context", "spatial_attention"):
        found, wanted = getattr(checkpoint.config, name), getattr(model.config, name)
        if found != wanted:
            raise ToolkitError(f"{start}: {name} is {found}, this model's is {wanted}. Train Stage 1 with {wanted}.")
    check_held_out(f"{start}: Stage 1", checkpoint, data)


@dataclass
class Learner:
    """A model on the training device, its optimiser, its loss, and the training blocks.

    `auxiliary`: the layer of the second task, which the saved model lacks; an empty module without that task.
    `fabric_optimizer`: the same optimiser, wrapped by Fabric. `luma` (N, 1, S, S) integers as stored, `qindex` (N, 1)
    float, `partition` AV1 ids (N,) int64. `cache`: None where features change, and once the backbone is unfrozen.
    """

    fabric: Fabric
    model: PartitionNet
    auxiliary: nn.Module
    objective: Objective
    optimizer: torch.optim.Optimizer
    fabric_optimizer: Any
    execution: Execution
    luma: Tensor
    qindex: Tensor
    partition: Tensor
    cache: FeatureCache | None


def build(fabric: Fabric, job: Job) -> Learner:
    """Build the model and its optimiser, with the state of a resumed run; start the folder of a new run.

    Raises ToolkitError where a class has no block, the first weights cannot be had, or the folder is not empty.
    """
    config = job.config
    objective = Objective(job.train_blocks, str(job.data.path), job.model, config, fabric.to_device)
    model = _first_model(fabric, job)
    adapters = model.adapter_parameters()
    learning: nn.Module = model
    auxiliary: nn.Module = nn.Identity()
    if config.auxiliary:
        learning = WithPartition(model)
        auxiliary = learning.named
    optimizer = _optimizer(model, adapters, auxiliary.parameters(), config)
    if job.history:
        _load_latest(job, model, auxiliary, optimizer)
    fabric.to_device(learning)
    fabric_optimizer = fabric.setup_optimizers(optimizer)
    luma, qindex, partition = _on_device(fabric, job.train_blocks)
    # Adapters learn while the backbone is frozen, so that the features change.
    cacheable = not adapters and worth_caching(config.augment, config.frozen_epochs)
    cache = FeatureCache(model, luma, config.augment, config.cache_gib) if cacheable else None
    execution = Execution(fabric, learning, config)
    return Learner(
        fabric, model, auxiliary, objective, optimizer, fabric_optimizer, execution,
        luma, qindex, partition, cache,
    )  # fmt: skip


def _first_model(fabric: Fabric, job: Job) -> PartitionNet:
    """Make the model with its first weights, and start the folder of a new run.

    Adapters come last: the weights of another model or of ImageNet have none.
    """
    torch.manual_seed(job.config.seed)
    model = PartitionNet(replace(job.model, adapter="none"))
    if not job.history:
        record = job.description["init"] = initialise(model, job.config.init, job.data, job.start, job.weights)
        if fabric.is_global_zero and (idle := idle_stage1(record)):
            _log.warning("Warning: %s", idle)
        if not job.resume:
            by_the_first(fabric, partial(job.run.create, job.description))
    model.add_adapters(job.model)
    return model


def _optimizer(
    model: PartitionNet, adapters: list[nn.Parameter], more: Iterable[nn.Parameter], config: TrainConfig
) -> torch.optim.Optimizer:
    """Make AdamW with two groups: the backbone without its adapters; and the rest of the model, with `more`."""
    own = {id(p) for p in adapters}
    backbone = [p for p in model.backbone.parameters() if id(p) not in own]
    rest = [p for n, p in model.named_parameters() if not n.startswith("backbone.") or id(p) in own]
    groups = [{"params": backbone, "lr": 0.0}, {"params": [*rest, *more], "lr": config.lr}]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=config.fused or None)


def _load_latest(job: Job, model: PartitionNet, auxiliary: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Give a resumed run's weights and optimiser the state of its last finished epoch."""
    latest = job.run.latest()
    path = job.run.epoch_path(latest["epoch"])
    load_weights(model, load_checkpoint(path).model.state_dict(), str(path))
    auxiliary.load_state_dict(latest.get("auxiliary", {}))
    optimizer.load_state_dict(latest["optimizer"])


def _on_device(fabric: Fabric, blocks: Blocks) -> tuple[Tensor, Tensor, Tensor]:
    """Copy all blocks to the training device.

    Luma as stored (integers), qindex (N, 1) float, AV1 ids (N,) int64.
    """
    luma = fabric.to_device(torch.from_numpy(blocks.luma))
    qindex = fabric.to_device(torch.from_numpy(blocks.qindex)).float()[:, None]
    return luma, qindex, fabric.to_device(torch.from_numpy(blocks.partition)).long()
