"""A pruner: for each node size and decision, a model that predicts the loss and the time of skipping."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.pruners.forest import Trees
from toolkit.pruners.network import Network
from toolkit.search.table import DECISIONS, Feature

MAGIC = b"AV1PPRN1"
Key = tuple[int, str]
"""Node size and decision."""


@dataclass(frozen=True)
class Pruner:
    """`models` by node size and decision, which predict logs of what toolkit.pruners.learn defines.

    `features`: the table that they were learnt on; a hook with another one refuses the pruner.
    """

    features: tuple[Feature, ...]
    models: Mapping[Key, Trees | Network]

    def native(self) -> bytes:
        """The bytes that the hook's av1part_set_pruner takes."""
        parts = [
            part
            for side, decision in sorted(self.models)
            for part in self.models[side, decision].native(side, DECISIONS.index(decision))
        ]
        return MAGIC + struct.pack("<2I", len(self.features), len(parts)) + b"".join(parts)
