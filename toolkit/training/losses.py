"""Losses over class indices, and their class weights."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from toolkit.errors import ToolkitError


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


class ExpectedRegret(nn.Module):
    """Mean of sum_k p[k] * regret[k], in percent of RD cost: the expected cost of a decision drawn from the softmax.

    forward(logits (N, C) float, targets (N,) int64, regret (N, C) share of RD cost) gives a scalar.
    """

    def forward(self, logits: Tensor, targets: Tensor, regret: Tensor) -> Tensor:
        return 100 * (F.softmax(logits.float(), 1) * regret).sum(1).mean()


def stake(regret: Tensor, targets: Tensor, cap: float) -> Tensor:
    """Stake of each block (N,), 0 to 1: the least regret (N, C) among the classes other than y, as a share of `cap`."""
    return regret.scatter(1, targets[:, None], torch.inf).amin(1).clamp(max=cap) / cap


class CostCrossEntropy(nn.Module):
    """Mean of stake * -log p[y]: cross-entropy in which near-equal choices are free. forward as ExpectedRegret's."""

    def __init__(self, cap: float) -> None:
        super().__init__()
        self.cap = cap

    def forward(self, logits: Tensor, targets: Tensor, regret: Tensor) -> Tensor:
        return (stake(regret, targets, self.cap) * F.cross_entropy(logits.float(), targets, reduction="none")).mean()


class CostFocal(FocalLoss):
    """Class-balanced focal loss weighted by the stake of each block: mean of (0.2 + 0.8 * stake) * focal[y].

    A block whose best two choices cost the same has a label that is half noise: it counts a fifth. forward as
    ExpectedRegret's.
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
    if isinstance(function, ExpectedRegret | CostCrossEntropy | CostFocal):
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
    if name == "regret":
        return ExpectedRegret()
    if name == "cost-ce":
        return CostCrossEntropy(regret_cap)
    if name == "cost-focal":
        return CostFocal(weight, gamma, regret_cap)
    if name != "cb-focal":
        weight = torch.ones_like(weight)
    return FocalLoss(weight, 0.0 if name == "cross-entropy" else gamma)
