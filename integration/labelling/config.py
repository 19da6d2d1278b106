"""Settings of `av1part label`, apart from the labeller so that the command line can read the defaults."""

from dataclasses import dataclass

from toolkit.partition import NODE


@dataclass(frozen=True)
class LabelConfig:
    """What decides the labels, and how the work is done (`jobs` 0: one process a core).

    `size` None keeps the sources' own; `frames` None takes all; `raw` is `WxH[:bitdepth]` of headerless files;
    `node` is the side of the nodes whose partitions are recorded; `with_costs` also records what every partition that
    was tried costs (`toolkit.data.blockset.COST_DTYPE`).
    `split` is `auto`, `train`, `val`, `test`, or the path of a file with lines of source, tab, split.
    """

    cq: tuple[int, ...] = (20, 32, 43, 55)
    cpu_used: int = 1
    usage: str = "good"
    size: tuple[int, int] | None = (960, 540)
    frames: int | None = None
    split: str = "auto"
    raw: str | None = None
    jobs: int = 0
    with_costs: bool = False
    node: int = NODE
