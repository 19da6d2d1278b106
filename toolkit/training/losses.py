"""Losses over class indices, and the loss that a training step minimises.

That loss is the stage's own, a teacher's part in it, and the second task's beside it.

The second task is to name the AV1 partition of every decided node: multitask learning (Caruana 1997). A stage's
classes merge partitions and leave nodes out. The exact partition, and the nodes left out, are labels that the backbone
can learn from too. The saved model has nothing of the second task.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from toolkit.data.blockset import Blocks
from toolkit.data.costs import class_regret
from toolkit.errors import ToolkitError
from toolkit.model.augment import turned_classes
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet
from toolkit.partition import NAMES
from toolkit.training.config import COST_LOSSES, TrainConfig
from toolkit.training.data import EpochPlan


def class_balanced_weights(counts: Tensor, beta: float) -> Tensor:
    """Weights (classes,) by the effective number of samples (Cui et al. 2019), scaled to a mean of 1.

    Raises ToolkitError where a class has no sample: it could not be learnt.
    """
    if bool((counts == 0).any()):
        raise ToolkitError(
            f"A class has no block in the training split (counts {counts.tolist()}). Label more sources."
        )
    weights = (1 - beta) / -torch.expm1(counts.double() * torch.log(torch.tensor(beta, dtype=torch.float64)))
    return (weights * len(counts) / weights.sum()).float()


def class_counts(target: NDArray[np.int64], classes: Sequence[str], what: str) -> Tensor:
    """Number of blocks of each class (classes,) int64; ToolkitError names the classes without a block.

    `what`: the data set, for the message.
    """
    counts = np.bincount(target, minlength=len(classes))
    absent = [name for name, count in zip(classes, counts, strict=True) if not count]
    if absent:
        raise ToolkitError(
            f"{what}: no block of {' or '.join(absent)} among the {len(target)} training blocks, so that it cannot be "
            f"learnt. See `av1part data info {what}`; label more sources, change the split, or raise --limit-train."
        )
    return torch.from_numpy(counts)


class FocalLoss(nn.Module):
    """Mean of weight[y] * (1 - p[y])**gamma * -log p[y] (Lin et al. 2017); gamma 0 is cross-entropy.

    forward(logits (N, C) float, targets (N,) int64) gives a scalar.
    """

    weight: Tensor

    def __init__(self, weight: Tensor, gamma: float) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.gamma = gamma

    def each(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of each block, (N,)."""
        log_p = F.log_softmax(logits.float(), 1).gather(1, targets[:, None])[:, 0]
        return self.weight[targets] * (1 - log_p.exp()) ** self.gamma * -log_p

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return self.each(logits, targets).mean()


def stake(regret: Tensor, targets: Tensor, cap: float) -> Tensor:
    """Stake of each block (N,), 0 to 1: the least regret (N, C) among the classes other than y, as a share of `cap`."""
    return regret.scatter(1, targets[:, None], torch.inf).amin(1).clamp(max=cap) / cap


class CostCrossEntropy(nn.Module):
    """Mean of stake * -log p[y]: cross-entropy in which near-equal choices are free.

    forward(logits (N, C) float, targets (N,) int64, regret (N, C) share of RD cost) gives a scalar.
    """

    def __init__(self, cap: float) -> None:
        super().__init__()
        self.cap = cap

    def forward(self, logits: Tensor, targets: Tensor, regret: Tensor) -> Tensor:
        return (stake(regret, targets, self.cap) * F.cross_entropy(logits.float(), targets, reduction="none")).mean()


class CostFocal(FocalLoss):
    """Class-balanced focal loss weighted by the stake of each block: mean of (0.2 + 0.8 * stake) * focal[y].

    A block whose best two choices cost the same has a label that is half noise: it counts a fifth. forward as
    CostCrossEntropy's.
    """

    def __init__(self, weight: Tensor, gamma: float, cap: float) -> None:
        super().__init__(weight, gamma)
        self.cap = cap

    def forward(self, logits: Tensor, targets: Tensor, regret: Tensor) -> Tensor:  # type: ignore[override]
        return ((0.2 + 0.8 * stake(regret, targets, self.cap)) * self.each(logits, targets)).mean()


def distillation(logits: Tensor, answers: Tensor, temperature: float) -> Tensor:
    """Mean of temperature**2 * KL(teacher's softmax, ours) over the blocks (Hinton et al. 2015); 0 where they agree.

    `logits` and `answers`: ours and the teacher's, (N, C). Both are divided by the temperature, so that small
    probabilities count.
    """
    ours, theirs = (F.log_softmax(x.float() / temperature, 1) for x in (logits, answers))
    return temperature**2 * F.kl_div(ours, theirs, reduction="batchmean", log_target=True)


def loss_of(function: nn.Module, logits: Tensor, targets: Tensor, regret: Tensor | None) -> Tensor:
    """Loss of a batch, a scalar; the regrets (N, C) go to the functions that take them."""
    if isinstance(function, CostCrossEntropy | CostFocal):
        assert regret is not None
        value: Tensor = function(logits, targets, regret)
    else:
        value = function(logits, targets)
    return value


def make_loss(name: str, counts: Tensor, beta: float, gamma: float, regret_cap: float) -> nn.Module:
    """Make the loss of a name in `config.LOSSES`; `counts` (classes,): training blocks of each class.

    The losses in `config.COST_LOSSES` take the regrets as a third argument.
    """
    weight = class_balanced_weights(counts, beta)  # also refuses an empty class for the unweighted losses
    if name == "cost-ce":
        return CostCrossEntropy(regret_cap)
    if name == "cost-focal":
        return CostFocal(weight, gamma, regret_cap)
    if name != "cb-focal":
        weight = torch.ones_like(weight)
    return FocalLoss(weight, 0.0 if name == "cross-entropy" else gamma)


class WithPartition(nn.Module):
    """A network with a second last layer, which has a logit for each of the ten partition types.

    forward takes what the network's takes, and gives two: logits (N, classes), and logits of the AV1 ids (N, 10).
    """

    def __init__(self, net: PartitionNet) -> None:
        super().__init__()
        self.net = net
        self.named = nn.Linear(net.head.last.in_features, len(NAMES))

    def forward(self, luma: Tensor | None, qindex: Tensor, features: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if features is None:
            assert luma is not None
            features = self.net.features(luma)
        hidden = self.net.head.hidden(self.net.head_input(features, qindex))
        return self.net.as_logits(self.net.head.last(hidden)), self.named(hidden)


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
