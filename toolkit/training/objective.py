"""Loss that a training step minimises: the stage's own, a teacher's part in it, and the second task's beside it."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toolkit.data.blockset import Blocks
from toolkit.data.costs import class_regret
from toolkit.model.augment import turned_classes
from toolkit.model.config import ModelConfig
from toolkit.training.config import COST_LOSSES, TrainConfig
from toolkit.training.epoch_plan import EpochPlan
from toolkit.training.losses import class_counts, distillation, loss_of, make_loss


class Objective:
    """Per-process loss, scaled so that averaging over processes gives the batch's.

    `own`: the stage's loss over its blocks. `answers`: a teacher's logits (N, classes) for all blocks as stored; the
    config's `distil` is their share of the stage's loss. Raises ToolkitError where a class of the stage has no block,
    and for a loss of RD costs where the data have none.
    """

    def __init__(
        self,
        blocks: Blocks,
        what: str,
        model: ModelConfig,
        config: TrainConfig,
        to_device: Callable[[Any], Any],
    ) -> None:
        is_own = blocks.target >= 0
        counts = class_counts(blocks.target[is_own], model.classes, what)
        loss = make_loss(config.loss, counts, config.beta, config.gamma, config.regret_cap)
        self.own: nn.Module = to_device(loss)
        self.auxiliary = config.auxiliary
        self.answers: Tensor | None = None
        self.distil, self.temperature = config.distil, config.distil_temperature
        self.regret: Tensor | None = None
        if config.loss in COST_LOSSES:
            regret = torch.zeros(len(blocks), len(model.classes))
            regret[torch.from_numpy(is_own)] = torch.from_numpy(class_regret(blocks[is_own], model.stage).share)
            self.regret = to_device(regret)
        self.turned: Tensor = to_device(turned_classes(model.stage, config.augment, model.node))

    def __call__(self, outputs: Any, plan: EpochPlan, begin: int, end: int, rank: int, processes: int) -> Tensor:
        """Loss of one process's part of the batch from `begin` to `end`: every `processes`-th block from its rank on.

        `outputs`: logits (n, classes) of these blocks; with the second task a pair: these, and the AV1 ids' (n, 10).
        """
        mine = slice(begin + rank, end, processes)
        if not self.auxiliary:
            return self._own(outputs, plan, mine) * (len(outputs) * processes / (end - begin))
        logits, named = outputs
        share = len(named) * processes / (end - begin)
        loss: Tensor = self.auxiliary * share * F.cross_entropy(named.float(), plan.partition[mine])
        is_own = plan.target[mine] >= 0
        if not bool(is_own.any()):
            loss += logits[:0].sum()  # a distributed wrapper waits for the gradient of every weight
            return loss
        of_all = is_own.sum() * processes / (plan.target[begin:end] >= 0).sum()
        loss += of_all * self._own(logits[is_own], plan, mine, is_own)
        return loss

    def _own(self, logits: Tensor, plan: EpochPlan, mine: slice, keep: Tensor | slice = slice(None)) -> Tensor:
        """Mean loss of the stage over the blocks `keep` of `mine`, with the teacher's part."""
        index, view, target = (t[mine][keep] for t in (plan.index, plan.view, plan.target))
        of_class = self.turned[view]  # (n, classes): the class of the stored block for each class of the turned one
        costs = None if self.regret is None else self.regret[index].gather(1, of_class)
        loss = loss_of(self.own, logits, target, costs)
        if self.answers is None:
            return loss
        taught = distillation(logits, self.answers[index].gather(1, of_class), self.temperature)
        return (1 - self.distil) * loss + self.distil * taught
