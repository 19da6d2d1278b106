"""BlockSets of any size from noise, for benchmarks that need the size and not the content."""

from pathlib import Path

import numpy as np

from toolkit.data.write import Source, make_records, write_blockset
from toolkit.partition import NODE

ROWS, COLUMNS = 67, 120  # whole nodes of a 1080p frame
QINDEX = np.array([80, 128, 172], np.int64)


def write_noise(path: Path, train: int, val: int, bit_depth: int = 8, *, none: bool = False) -> Path:
    """A BlockSet of so many training and validation blocks of Stage 2 (ids 1 to 7), one qindex each.

    With `none` half as many again are not partitioned, so that there is a Stage 1 to train.
    """
    rng = np.random.default_rng(0)
    sources, columns = [], []
    for index, (split, count) in enumerate((("train", train), ("val", val))):
        extra = count // 2 if none else 0
        frames = -(-(count + extra) // (ROWS * COLUMNS))
        luma = rng.integers(0, 1 << bit_depth, (frames, ROWS * NODE, COLUMNS * NODE), np.uint16)
        plane = luma.astype(np.uint8) if bit_depth == 8 else luma
        sources.append(Source(split, split, f"{index:064x}", plane, licence="CC0-1.0", origin="noise"))
        frame, row, column = (a.ravel()[: count + extra] for a in np.indices((frames, ROWS, COLUMNS)))
        labels = rng.permutation(np.concatenate([rng.integers(1, 8, count), np.zeros(extra, np.int64)]))
        qindex = QINDEX[rng.integers(0, 3, len(labels))]
        columns.append((np.full(len(labels), index), frame, row * NODE, column * NODE, qindex, labels))
    records = make_records(*(np.concatenate(parts) for parts in zip(*columns, strict=True)))
    write_blockset(path, sources, records, bit_depth, {"name": "noise"})
    return path
