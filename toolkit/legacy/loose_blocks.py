"""Blocks without positions, by source: a reader of an older format hands them to the importer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.data.format import Luma


@dataclass(frozen=True)
class LooseBlocks:
    """Blocks of one source without positions: luma (N, 16, 16); labels and qps (N,) int64, as they were found."""

    name: str
    sha256: str
    luma: Luma
    labels: NDArray[np.int64]
    qps: NDArray[np.int64]
    origin: str


@dataclass(frozen=True)
class Imported:
    """Content of an older data set: sources, bit depth, the split of each, facts for the manifest, warnings."""

    parts: list[LooseBlocks]
    bit_depth: int
    splits: dict[str, str]
    facts: dict[str, object]
    warnings: list[str]
