"""A pruner: for each node size and decision, the predicted loss and the predicted time."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.pruners.features import DECISIONS, Feature
from toolkit.pruners.forest import Forest, forest_bytes

MAGIC = b"AV1PPRN1"


@dataclass(frozen=True)
class Pruner:
    """`loss` and `time`: forests by (node size, decision), which predict logs of what toolkit.pruners.learn defines.

    `features`: the table that they were learnt on; a hook with another one refuses the pruner.
    """

    features: tuple[Feature, ...]
    loss: Mapping[tuple[int, str], Forest]
    time: Mapping[tuple[int, str], Forest]

    def native(self) -> bytes:
        """The bytes that the hook's av1part_set_pruner takes."""
        parts = [
            forest_bytes(side, DECISIONS.index(decision), kind, forests[side, decision])
            for side, decision in sorted(self.loss)
            for kind, forests in enumerate((self.loss, self.time))
        ]
        return MAGIC + struct.pack("<2I", len(self.features), len(parts)) + b"".join(parts)
