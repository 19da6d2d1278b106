"""The model of a run on its device, with all that trains it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from toolkit.data.blockset import Blocks
from toolkit.model.checkpoint import load_checkpoint, load_weights
from toolkit.model.network import PartitionNet
from toolkit.training.config import TrainConfig
from toolkit.training.distributed import by_the_first
from toolkit.training.execution import Execution
from toolkit.training.feature_cache import FeatureCache, worth_caching
from toolkit.training.init_weights import initialise
from toolkit.training.objective import Objective
from toolkit.training.prepare import Job
from toolkit.training.second_task import WithPartition


@dataclass
class Learner:
    """A model on the training device, its optimiser, its loss, and the training blocks.

    `auxiliary`: the layer of the second task, which the saved model lacks; an empty module without that task.
    `fabric_optimizer`: the same optimiser, wrapped by Fabric. `luma` (N, 1, S, S) integers as stored, `qindex` (N, 1)
    float, `search` (N, known) float of a model inside the search, `partition` AV1 ids (N,) int64. `cache`: None where
    features change, and once the backbone is unfrozen.
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
    search: Tensor | None
    partition: Tensor
    cache: FeatureCache | None


def build(fabric: Fabric, job: Job) -> Learner:
    """Build the model and its optimiser, with the state of a resumed run; start the folder of a new run.

    Raises ToolkitError where a class has no block, the first weights cannot be had, the folder is not empty, or there
    is no compiler for `compile`.
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
    luma, qindex, search, partition = _on_device(fabric, job.train_blocks)
    # Adapters learn while the backbone is frozen, so that the features change.
    cacheable = not adapters and worth_caching(config.augment, config.frozen_epochs)
    cache = FeatureCache(model, luma, config.augment, config.cache_gib) if cacheable else None
    execution = Execution(fabric, learning, config)
    return Learner(
        fabric, model, auxiliary, objective, optimizer, fabric_optimizer, execution,
        luma, qindex, search, partition, cache,
    )  # fmt: skip


def _first_model(fabric: Fabric, job: Job) -> PartitionNet:
    """Make the model with its first weights, and start the folder of a new run.

    Adapters come last: the weights of another model or of ImageNet have none.
    """
    torch.manual_seed(job.config.seed)
    model = PartitionNet(replace(job.model, adapter="none"))
    if not job.history:
        job.description["init"] = initialise(model, job.config.init, job.data, job.start, job.weights)
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


def _on_device(fabric: Fabric, blocks: Blocks) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Copy all blocks to the training device.

    Luma as stored (integers), qindex (N, 1) float, search (N, known) float or None, AV1 ids (N,) int64.
    """
    luma = fabric.to_device(torch.from_numpy(blocks.luma))
    qindex = fabric.to_device(torch.from_numpy(blocks.qindex)).float()[:, None]
    search = None if blocks.search is None else fabric.to_device(torch.from_numpy(blocks.search))
    return luma, qindex, search, fabric.to_device(torch.from_numpy(blocks.partition)).long()
