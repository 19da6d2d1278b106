"""A second task in training, beside the stage's own: name the AV1 partition of every decided node.

Multitask learning (Caruana 1997). A stage's classes merge partitions and leave nodes out. The exact partition, and the
nodes left out, are labels that the backbone can learn from too. The saved model has nothing of the second task.
"""

import numpy as np
from torch import Tensor, nn

from toolkit.data.blockset import Blocks, BlockSet
from toolkit.data.sampling import draw
from toolkit.errors import ToolkitError
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet
from toolkit.partition import NAMES
from toolkit.training.config import TrainConfig


class WithPartition(nn.Module):
    """A network with a second last layer, which has a logit for each of the ten partition types.

    forward takes what the network's takes, and gives two: logits (N, classes), and logits of the AV1 ids (N, 10).
    """

    def __init__(self, net: PartitionNet) -> None:
        super().__init__()
        self.net = net
        self.named = nn.Linear(net.head.last.in_features, len(NAMES))

    def forward(
        self, luma: Tensor | None, qindex: Tensor, search: Tensor | None = None, features: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        if features is None:
            assert luma is not None
            features = self.net.features(luma)
        hidden = self.net.head.hidden(self.net.head_input(features, qindex, search))
        return self.net.as_logits(self.net.head.last(hidden)), self.named(hidden)


def training_blocks(data: BlockSet, model: ModelConfig, config: TrainConfig) -> Blocks:
    """Training blocks of a model; with the second task also the split's other decided nodes, whose target is -1.

    A limit keeps the same share of both. Raises ToolkitError where the split has no block of the stage, and for a model
    inside the search that would have to name partitions of turned blocks.
    """
    stage, window, inside = model.stage, model.window, model.inside
    if not config.auxiliary:
        return data.split_blocks("train", stage, config.limit_train, config.seed, window, inside)
    if inside is not None and config.augment != "none":
        raise ToolkitError(
            f"The second task (auxiliary {config.auxiliary:g}) names the partition of turned blocks, and what the "
            f"search knows cannot be turned. Inside the search, take --auxiliary 0 or --augment none."
        )
    index = data.split_index("train", stage, inside)
    drawn = draw(index, config.limit_train, config.seed)
    others = np.setdiff1d(data.split_index("train", inside=inside), index)
    others = draw(others, len(others) * len(drawn) // len(index), config.seed)
    return data.take(np.sort(np.concatenate([drawn, others])), stage, window, inside)
