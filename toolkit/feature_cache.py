"""Features of a frozen backbone, computed once for each way a block can be turned."""

import torch
from torch import Tensor

from toolkit.augment import turn, views
from toolkit.model import PartitionNet


class FeatureCache:
    """Features (N, F) of all training blocks in each view that the augmentation can show, each computed at first use.

    While the backbone is frozen and in evaluation mode they cannot change, so that a frozen epoch costs the head
    alone. Memory: views x N x F float32.
    """

    def __init__(self, model: PartitionNet, luma: Tensor, kind: str, batch: int = 512) -> None:
        self.model, self.luma, self.batch = model, luma, batch
        self.cached: dict[int, Tensor] = {}
        self.views = views(kind)

    def __call__(self, index: Tensor, view: Tensor) -> Tensor:
        """Features of the blocks at `index`, each in its `view`, both (n,)."""
        result = torch.empty(len(index), self.model.features_out, device=self.luma.device)
        for v in torch.unique(view).tolist():
            where = view == v
            result[where] = self._all(v)[index[where]]
        return result

    @torch.no_grad()
    def _all(self, view: int) -> Tensor:
        if view not in self.cached:
            parts = [self.model.features(turn(part.float(), view)) for part in torch.split(self.luma, self.batch)]
            self.cached[view] = torch.cat(parts)
        return self.cached[view]


def worth_caching(kind: str, frozen_epochs: int) -> bool:
    """Whether computing every view once is less work than computing one view an epoch."""
    return views(kind) <= frozen_epochs
