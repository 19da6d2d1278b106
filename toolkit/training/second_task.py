"""A second task beside a stage's own, in training alone: name the AV1 partition of every decided node.

Multitask learning (Caruana 1997). A stage's classes put partitions together and leave nodes out; which of them it was,
and what the nodes left out look like, are labels that the backbone can learn from too. Nothing of it is in the model
that is saved.
"""

import numpy as np
from torch import Tensor, nn

from toolkit.data.blockset import Blocks, BlockSet
from toolkit.data.sampling import draw
from toolkit.model.network import PartitionNet
from toolkit.partition import NAMES
from toolkit.training.config import TrainConfig
from toolkit.windows import Window


class WithPartition(nn.Module):
    """A network and a layer beside its last one, with a logit for each of the ten partition types.

    forward as the network's, but gives both: logits (N, classes), and those of the AV1 ids (N, 10).
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


def training_blocks(data: BlockSet, stage: str, config: TrainConfig, window: Window) -> Blocks:
    """The training split's blocks of a stage; with the second task also its other decided nodes, of target -1.

    A limit leaves the same share of those. Raises ToolkitError where the split has no block of the stage.
    """
    if not config.auxiliary:
        return data.split_blocks("train", stage, config.limit_train, config.seed, window)
    index = data.split_index("train", stage)
    drawn = draw(index, config.limit_train, config.seed)
    others = np.setdiff1d(data.split_index("train"), index)
    others = draw(others, len(others) * len(drawn) // len(index), config.seed)
    return data.take(np.sort(np.concatenate([drawn, others])), stage, window)
