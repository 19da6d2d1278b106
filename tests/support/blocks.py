"""Blocks with RD costs, made in memory."""

import numpy as np

from toolkit.data.blockset import Blocks
from toolkit.data.format import COST_DTYPE

NAN = float("nan")


def make_blocks(rd: list[list[float]], labels: list[int], bounds: list[int] | None = None) -> Blocks:
    costs = np.zeros(len(rd), COST_DTYPE)
    costs["rd"] = NAN
    costs["rd"][:, : len(rd[0])] = rd
    costs["bound"] = 0 if bounds is None else bounds
    n, partition = len(rd), np.array(labels, np.uint8)
    return Blocks(
        luma=np.zeros((n, 1, 16, 16), np.uint8),
        qindex=np.zeros(n, np.uint8),
        partition=partition,
        target=partition.astype(np.int64),
        source=np.zeros(n, np.uint16),
        frame=np.zeros(n, np.uint32),
        row=np.zeros(n, np.uint16),
        column=np.zeros(n, np.uint16),
        bit_depth=8,
        costs=costs,
    )
