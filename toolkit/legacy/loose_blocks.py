"""What a reader of an older format hands to the importer: blocks without positions, by source."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.data.format import Luma


@dataclass(frozen=True)
class LooseBlocks:
    """The blocks of one source without positions: luma (N, 16, 16); labels and qps (N,) whole numbers as found."""

    name: str
    sha256: str
    luma: Luma
    labels: NDArray[np.int64]
    qps: NDArray[np.int64]
    origin: str


@dataclass(frozen=True)
class Imported:
    """What a format's reader found: sources, bit depth, a split for each, facts for the manifest, warnings."""

    parts: list[LooseBlocks]
    bit_depth: int
    splits: dict[str, str]
    facts: dict[str, Any]
    warnings: list[str]
