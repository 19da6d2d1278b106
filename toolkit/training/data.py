"""Blocks that a run learns from and is scored on, and the order in which an epoch goes through them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from toolkit.data.blockset import Blocks, BlockSet
from toolkit.data.sampling import draw, stratified_index
from toolkit.model.augment import draw_views, turned_labels
from toolkit.model.config import ModelConfig
from toolkit.partition import STAGES
from toolkit.training.config import TrainConfig


@dataclass(frozen=True)
class EpochPlan:
    """The n blocks of an epoch in order: `index` into the training blocks, `view`, and labels as seen in that view.

    The labels are the AV1 id `partition` and the class `target`. All four are (n,) int64 on the device of the blocks.
    `batches`: begin and end of each batch.
    """

    index: Tensor
    view: Tensor
    partition: Tensor
    target: Tensor
    batches: list[tuple[int, int]]


def plan_epoch(
    config: TrainConfig, stage: str, partition: Tensor, generator: torch.Generator, processes: int
) -> EpochPlan:
    """Draw the plan of an epoch over blocks of AV1 ids (N,) int64, alike in every process, from a CPU generator."""
    table = torch.from_numpy(STAGES[stage].targets(np.arange(256, dtype=np.uint8)))
    order = _order(config.sampler, table[partition.cpu()], generator)
    view = draw_views(config.augment, len(order), generator)
    turned = turned_labels(partition.cpu()[order], view)
    index, view, turned, target = (t.to(partition.device) for t in (order, view, turned, table[turned]))
    # Batch-norm needs two blocks on every process.
    return EpochPlan(index, view, turned, target, cut(len(order), config.batch_size, 2 * processes))


def cut(count: int, size: int, least: int) -> list[tuple[int, int]]:
    """Begin and end of each batch of `size`; a last batch of fewer than `least` blocks joins the one before it."""
    batches = [(begin, min(begin + size, count)) for begin in range(0, count, size)]
    if len(batches) > 1 and batches[-1][1] - batches[-1][0] < least:
        batches[-2:] = [(batches[-2][0], count)]
    return batches


def _order(sampler: str, target: Tensor, generator: torch.Generator) -> Tensor:
    """Order of an epoch's blocks: a permutation, or as many draws in which every class is equally likely."""
    if sampler == "none":
        return torch.randperm(len(target), generator=generator)
    weight = 1.0 / torch.bincount(target).clamp(min=1)[target]
    return torch.multinomial(weight, len(target), replacement=True, generator=generator)


def training_blocks(data: BlockSet, model: ModelConfig, config: TrainConfig) -> Blocks:
    """Training blocks of a model; with the second task also the split's other decided nodes, whose target is -1.

    A limit keeps the same share of both. Raises ToolkitError where the split has no block of the stage.
    """
    stage, window = model.stage, model.window
    if not config.auxiliary:
        return data.split_blocks("train", stage, config.limit_train, config.seed, window)
    index = data.split_index("train", stage)
    drawn = draw(index, config.limit_train, config.seed)
    others = np.setdiff1d(data.split_index("train"), index)
    others = draw(others, len(others) * len(drawn) // len(index), config.seed)
    return data.take(np.sort(np.concatenate([drawn, others])), stage, window)


CALIBRATION_BLOCKS = 512


def validation_blocks(data: BlockSet, model: ModelConfig, limit: int | None) -> Blocks:
    """Validation blocks of a model, at most `limit`: the same for every seed, so that runs can be compared."""
    return data.split_blocks("val", model.stage, limit, window=model.window)


def calibration_blocks(val: Blocks, seed: int = 0) -> Blocks:
    """The validation blocks that a checkpoint carries, as even over class and qindex as the data allow."""
    return val[stratified_index(val.target, val.qindex, CALIBRATION_BLOCKS, seed)]
