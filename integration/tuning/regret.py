"""Loss and saving of masks, computed from RD costs that an encoder recorded: thousands of masks a second, no encode.

The regret of a mask at a node is the RD cost of the best partition that it allows, less that of the best of all.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from integration.pipeline.policy import ALL, bits
from toolkit.errors import ToolkitError
from toolkit.partition import HORZ, HORZ_4, HORZ_A, HORZ_B, INSIDE_LARGER, VERT, VERT_4, VERT_A, VERT_B

_KEEPS_HORZ, _KEEPS_VERT = bits(HORZ, HORZ_A, HORZ_B, HORZ_4), bits(VERT, VERT_A, VERT_B, VERT_4)


class Outcome(NamedTuple):
    """Effect of masks in percent.

    `loss` is RD cost (mean over pictures), `saving` time (mean over sources), `lost` the nodes at which the best
    partition is forbidden.
    """

    loss: float
    saving: float
    lost: float


@dataclass(frozen=True)
class Regret:
    """Costs of N nodes, by AV1 id where they have a second axis.

    `rd` (N, 10) is the RD cost, inf where a partition has no exact one. `bound` (N, 10) is the lower bound that a
    search cut short has found, inf elsewhere. `seconds` (N, 10) is CPU time, 0 where there is none. `inside` (N,) marks
    nodes inside larger blocks. `loss_weight` and `time_weight` (N,) turn RD cost and seconds into percent.
    """

    rd: NDArray[np.float32]
    bound: NDArray[np.float32]
    seconds: NDArray[np.float32]
    inside: NDArray[np.bool_]
    loss_weight: NDArray[np.float64]
    time_weight: NDArray[np.float64]
    _known: dict[int, tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]] = field(default_factory=dict)

    @classmethod
    def of(cls, blocks: NDArray[Any], costs: NDArray[Any], share: float) -> "Regret":
        """Costs from records of a BlockSet, (N,), and their recorded costs, (N,).

        `share` is the part of the encode's CPU time that went into these nodes. Every picture (source, frame, qindex)
        has the same weight in the loss, as every clip and cq has in a BD-rate, and every source in the time, as every
        clip has in a time saving. A picture's RD cost is the sum of its nodes' best ones. Nodes inside larger blocks
        are part of this sum but never of a loss, because the larger block won against the best that they offered.
        Raises ToolkitError where no node has a cost.
        """
        tried = np.isfinite(costs["rd"])
        cut = (costs["bound"][:, None] >> np.arange(10) & 1).astype(bool) & tried
        rd = np.where(tried & ~cut, costs["rd"], np.inf).astype(np.float32)
        best = rd.min(axis=1)
        best = np.where(np.isfinite(best), best, 0).astype(np.float64)
        seconds = np.where(np.isfinite(costs["seconds"]), costs["seconds"], 0).astype(np.float32)
        if not best.any() or not seconds.any():
            raise ToolkitError("No node has an RD cost. Label the clips with --with-costs.")
        key = (blocks["source"].astype(np.int64) << 40) + (blocks["frame"].astype(np.int64) << 8) + blocks["qindex"]
        _, picture = np.unique(key, return_inverse=True)
        per_picture = np.bincount(picture, weights=best)
        used = int((per_picture > 0).sum())
        weight = 100 / used / np.where(per_picture > 0, per_picture, np.inf)[picture]
        bound = np.where(cut, costs["rd"], np.inf).astype(np.float32)
        inside = blocks["partition"] == INSIDE_LARGER
        _, source = np.unique(blocks["source"], return_inverse=True)
        per_source = np.bincount(source, weights=seconds.sum(axis=1, dtype=np.float64))
        timed = int((per_source > 0).sum())
        time_weight = 100 * share / timed / np.where(per_source > 0, per_source, np.inf)[source]
        return cls(rd, bound, seconds, inside, weight, time_weight)

    def __len__(self) -> int:
        return len(self.rd)

    def part(self, index: NDArray[np.int64]) -> "Regret":
        """The nodes at `index`; percents stay relative to all nodes, so that the outcomes of parts add up."""
        weights = self.loss_weight[index], self.time_weight[index]
        return Regret(self.rd[index], self.bound[index], self.seconds[index], self.inside[index], *weights)

    def of_masks(self, masks: NDArray[np.uint16]) -> Outcome:
        """Outcome of masks (N,), one a node."""
        loss = saving = 0.0
        lost = 0
        for mask in np.flatnonzero(np.bincount(masks, minlength=ALL + 1)):
            where = masks == mask
            losses, savings, forbidden = self.at(int(mask))
            loss += float(losses[where].sum())
            saving += float(savings[where].sum())
            lost += int(forbidden[where].sum())
        return Outcome(loss, saving, 100 * lost / max(len(self), 1))

    def at(self, mask: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Loss and saving in percent, and whether the best partition is forbidden, (N,) each, of one mask everywhere.

        As in the hook, a node where the mask would leave nothing keeps all partitions. A search that was cut short is
        ignored as long as a partition with an exact cost is allowed: it was cut short because it is no better. Where
        only such searches are allowed, their cost is taken to be the node's worst exact cost, or their bound if that is
        higher.
        """
        if mask not in self._known:
            self._known[mask] = self._at(mask)
        return self._known[mask]

    def _at(self, mask: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        allowed = np.array([mask >> k & 1 for k in range(10)], bool)
        allowed[HORZ], allowed[VERT] = bool(mask & _KEEPS_HORZ), bool(mask & _KEEPS_VERT)
        left = self.rd[:, allowed].min(axis=1, initial=np.inf)
        best = self.rd.min(axis=1)
        at_least = self.bound[:, allowed].min(axis=1, initial=np.inf)
        kept = ~np.isfinite(left) & ~np.isfinite(at_least)
        only_bounds = ~np.isfinite(left) & np.isfinite(at_least)
        worst = np.where(np.isfinite(self.rd), self.rd, -np.inf).max(axis=1)
        left = np.where(only_bounds, np.maximum(at_least, worst), left)
        counts = ~kept & ~self.inside & np.isfinite(best)
        regret = np.zeros(len(self))
        np.subtract(left, best, out=regret, where=counts)
        saved = np.where(kept, 0, self.seconds[:, ~allowed].sum(axis=1, dtype=np.float64))
        return regret * self.loss_weight, saved * self.time_weight, regret > 0
