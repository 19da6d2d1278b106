"""Data sets with features of the search whose meaning a test knows."""

from pathlib import Path

import numpy as np

from toolkit.data.blockset import BlockSet
from toolkit.data.inside import SearchFeatures, SearchTable
from toolkit.data.write import Source, write_blockset
from toolkit.partition import STAGES
from toolkit.search.table import Feature

TABLE = SearchTable(
    "0123abcd",
    (
        Feature("qindex", "0 to 255", 0),
        Feature("above_width", "log", 0),
        Feature("left_width", "log", 0),
        Feature("none_cost", "log bits", 1),
        Feature("none_skip", "0 or 1", 1),
        Feature("split_to_none", "ratio", 2),
        Feature("best_partition", "id", 3),
    ),
)
NONE, SPLIT = 5, 6
"""Number of features known after NONE, and after SPLIT."""


def features_of(data: BlockSet, seed: int = 0) -> np.ndarray:
    """Rows (blocks, 7) that tell SPLIT by their sixth feature: every tenth never searched, every fifth not to SPLIT."""
    rng = np.random.default_rng(seed)
    blocks = data.blocks
    rows = rng.normal(size=(len(blocks), len(TABLE.features))).astype(np.float32)
    rows[:, 0] = blocks["qindex"]
    for column, place in ((1, "row"), (2, "column")):
        rows[:, column] = np.where(blocks[place] == 0, -8, rng.integers(-1, 2, len(blocks)))
    rows[:, 5] = np.where(STAGES["2"].targets(blocks["partition"]) == 0, 0.5, 2) + rng.random(len(blocks)) / 4
    rows[::5, 5:] = 0
    rows[::10] = np.nan
    return rows


def write_with(path: Path, data: BlockSet, rows: np.ndarray, table: SearchTable = TABLE, first: str = "0") -> Path:
    """The data set again at `path`, with these features of the search; `first` begins the hashes of its sources."""
    sources = [
        Source(s["name"], s["split"], first + s["sha256"][1:], data.luma(i), s["licence"], s["origin"])
        for i, s in enumerate(data.sources)
    ]
    search = SearchFeatures(table, rows)
    encoder = data.manifest["encoder"]
    write_blockset(path, sources, data.blocks, data.bit_depth, encoder, block_size=data.node, search=search)
    return path
