"""Features of a frozen backbone, computed once for each way a block can be turned."""

import torch
from torch import Tensor

from toolkit.model.augment import turn, turn_each, views
from toolkit.model.network import PartitionNet

_GIB = 1 << 30


class FeatureCache:
    """Features of all N training blocks in each view that the augmentation can show, computed at the first use.

    While the backbone is frozen and in evaluation mode they cannot change, so that a frozen epoch only costs the head.
    Memory: views x N x F float32, at most `gib`. Features in views that do not fit are computed at each use.
    """

    def __init__(self, model: PartitionNet, luma: Tensor, kind: str, gib: float, batch: int = 512) -> None:
        self.model, self.luma, self.kind, self.batch = model, luma, kind, batch
        fits = int(gib * _GIB) // (len(luma) * model.features_out * 4)
        self.views = min(views(kind), fits)
        self._table: Tensor | None = None

    @torch.no_grad()
    def __call__(self, index: Tensor, view: Tensor) -> Tensor:
        """Features (n, F) of the blocks at `index`, each in its `view`, both (n,) int64."""
        if self._table is None:
            self._table = self._computed()
        if self.views == views(self.kind):
            return self._table[view, index]
        kept = view < self.views
        result = torch.empty(len(index), self.model.features_out, device=self.luma.device)
        result[kept] = self._table[view[kept], index[kept]]
        luma = self.luma[index[~kept]].float()
        result[~kept] = self.model.features(turn_each(luma, view[~kept], self.kind))
        return result

    def _computed(self) -> Tensor:
        """Features (views, N, F) of the views that fit."""
        table = torch.empty(self.views, len(self.luma), self.model.features_out, device=self.luma.device)
        for view in range(self.views):
            for start in range(0, len(self.luma), self.batch):
                part = slice(start, start + self.batch)
                table[view, part] = self.model.features(turn(self.luma[part].float(), view))
        return table


def worth_caching(kind: str, frozen_epochs: int) -> bool:
    """Whether computing every view once is less work than computing one view an epoch."""
    return views(kind) <= frozen_epochs
