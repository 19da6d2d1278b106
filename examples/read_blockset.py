"""Read a BlockSet: its sources, and one split's blocks as NumPy arrays.

    python examples/read_blockset.py [DATA] [--split val] [--stage 2] [--limit 1000]

DATA is a folder that `av1part label` made; without it, the embedded data set is read.
"""

import argparse
from pathlib import Path

import numpy as np

import av1part
from av1part import BlockSet

SAMPLE = av1part.ROOT / "toolkit" / "sample"


def main() -> None:
    """Print the sources of a data set, and what the blocks of a split look like."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, default=SAMPLE)
    parser.add_argument("--split", default="val")
    parser.add_argument("--stage", default="2")
    parser.add_argument("--limit", type=int, default=1000)
    options = parser.parse_args()

    data = BlockSet.load(options.data)  # verifies every file against the manifest
    print(f"{len(data.sources)} sources, {len(data.blocks):,} labels of {data.node}x{data.node} nodes")
    for index, source in enumerate(data.sources[:3]):
        luma = data.luma(index)  # (frames, height, width), raw code values
        print(f"  {source['name']}: {source['split']}, {luma.dtype} {luma.shape}")

    # Only decided nodes that the stage classifies; drawn by seed where there are more than the limit.
    blocks = data.split_blocks(options.split, options.stage, options.limit)
    print(f"{options.split}, Stage {options.stage}: luma {blocks.luma.dtype} {blocks.luma.shape}")
    print(f"  qindexes: {np.unique(blocks.qindex)}")
    print(f"  blocks of each class: {np.bincount(blocks.target)}")


if __name__ == "__main__":
    main()
