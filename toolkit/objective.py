"""What a training step minimises: the stage's own loss, and the second task's where there is one."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toolkit.augment import turned_classes
from toolkit.blocks import Blocks
from toolkit.costs import class_regret
from toolkit.epoch_plan import EpochPlan
from toolkit.losses import class_counts, loss_of, make_loss
from toolkit.model_config import ModelConfig
from toolkit.train_config import COST_LOSSES, TrainConfig


class Objective:
    """The loss of a step, such that its mean over the processes is that of the batch's blocks.

    `own` is the stage's loss over its blocks. Raises ToolkitError where one of its classes has no block, and for a
    loss of RD costs where there are none.
    """

    def __init__(
        self, blocks: Blocks, what: str, model: ModelConfig, config: TrainConfig, to_device: Callable[[Any], Any]
    ) -> None:
        is_own = blocks.target >= 0
        counts = class_counts(blocks.target[is_own], model.classes, what)
        loss = make_loss(config.loss, counts, config.beta, config.gamma, config.regret_cap)
        self.own: nn.Module = to_device(loss)
        self.auxiliary = config.auxiliary
        self.regret: Tensor | None = None
        if config.loss in COST_LOSSES:
            regret = torch.zeros(len(blocks), len(model.classes))
            regret[torch.from_numpy(is_own)] = torch.from_numpy(class_regret(blocks[is_own], model.stage).share)
            self.regret = to_device(regret)
        self.turned: Tensor = to_device(turned_classes(model.stage, config.augment))

    def __call__(self, outputs: Any, plan: EpochPlan, begin: int, end: int, rank: int, processes: int) -> Tensor:
        """The loss of one process's part, every `processes`-th block from begin + rank on, of the batch to `end`.

        outputs: logits (n, classes) of these blocks; with the second task a pair of those and the AV1 ids' (n, 10).
        """
        mine = slice(begin + rank, end, processes)
        if not self.auxiliary:
            return self._own(outputs, plan, mine) * (len(outputs) * processes / (end - begin))
        logits, named = outputs
        share = len(named) * processes / (end - begin)
        loss: Tensor = self.auxiliary * share * F.cross_entropy(named.float(), plan.partition[mine])
        is_own = plan.target[mine] >= 0
        if not bool(is_own.any()):
            loss += 0 * logits.sum()  # a distributed wrapper waits for the gradient of every weight
            return loss
        of_all = is_own.sum() * processes / (plan.target[begin:end] >= 0).sum()
        loss += of_all * self._own(logits[is_own], plan, mine, is_own)
        return loss

    def _own(self, logits: Tensor, plan: EpochPlan, mine: slice, keep: Tensor | slice = slice(None)) -> Tensor:
        index, view, target = (t[mine][keep] for t in (plan.index, plan.view, plan.target))
        costs = None if self.regret is None else self.regret[index].gather(1, self.turned[view])
        return loss_of(self.own, logits, target, costs)
