"""The held-out blocks that a proof compares on."""

from export.compare.config import LIMIT
from export.proof.config import ParityConfig
from toolkit.data.blockset import Blocks, BlockSet
from toolkit.data.sampling import stratified_index
from toolkit.partition import STAGES
from toolkit.windows import Window


def held_out_blocks(data: BlockSet, stage: str, window: Window, config: ParityConfig) -> Blocks:
    """Blocks of the config's split in that window, as even over class and qindex as the data allow.

    At most `config.limit`, or LIMIT where it is None, drawn by `config.seed`. Raises ToolkitError where the split has
    no block of the stage.
    """
    index = data.split_index(config.split, stage)
    rows = data.blocks[index]
    chosen = stratified_index(
        STAGES[stage].targets(rows["partition"]), rows["qindex"], config.limit or LIMIT, config.seed
    )
    return data.take(index[chosen], stage, window)
