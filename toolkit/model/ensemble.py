"""An ensemble: one network that gives the mean probabilities of several, over views of the block if asked for."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toolkit.model.augment import class_orders, turn, views
from toolkit.model.config import ModelConfig
from toolkit.model.ensemble_config import EnsembleConfig
from toolkit.model.network import Classifier, PartitionNet
from toolkit.option import Options


class Ensemble(Classifier):
    """Network whose logits are the log of the mean of its members' softmax; for Stage 1 shifted to [0, z].

    A member takes all views of the blocks as one batch, so that the graph holds each member once.
    """

    order: Tensor

    def __init__(self, config: EnsembleConfig) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(PartitionNet(member) for member in config.members)
        self.views, self.single = views(config.views), config.stage == "1"
        orders = class_orders(config.stage, config.views, config.window.node)
        offsets = orders.shape[1] * torch.arange(self.views)[:, None]
        self.register_buffer("order", (orders + offsets).flatten(), persistent=False)

    def forward(self, luma: Tensor, qindex: Tensor) -> Tensor:
        classes = len(self.config.classes)
        if self.views > 1:
            luma = torch.cat([turn(luma, view) for view in range(self.views)], 1).view(-1, 1, *luma.shape[2:])
            qindex = torch.cat([qindex] * self.views, 1).view(-1, 1)
        seen = []
        for member in self.members:
            log_p = F.log_softmax(member(luma, qindex), 1)
            if self.views > 1:  # from the classes of each view to the block's own: a transposed HORZ is a VERT
                log_p = log_p.view(-1, self.views * classes).index_select(1, self.order)
            seen.append(log_p.view(-1, self.views, classes))
        together = torch.cat(seen, 1)
        mean = torch.logsumexp(together, 1) - math.log(together.shape[1])
        return F.pad(mean[:, 1:] - mean[:, :1], (1, 0)) if self.single else mean


def make_model(values: Options) -> Classifier:
    """Make a network or an ensemble with random weights from its config's `to_dict`; ToolkitError as the configs'."""
    if "members" in values:
        return Ensemble(EnsembleConfig.from_dict(values))
    return PartitionNet(ModelConfig.from_dict(values))
