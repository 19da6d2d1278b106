"""Settings of `av1part label`, apart from the labeller so that the command line can read the defaults."""

from dataclasses import dataclass

from toolkit.partition import NODE


@dataclass(frozen=True)
class LabelConfig:
    """How sources are read and coded, what is recorded of them, and with how many processes.

    `size` (width, height) shrinks frames to fit and `frames` limits their number; None leaves them as they are. `raw`
    is `WxH[:bitdepth]` of headerless files. `node` is the side of the nodes whose partitions are recorded;
    `with_costs` also records the cost of every partition that was tried (`toolkit.data.blockset.COST_DTYPE`). `split`
    is `auto`, `train`, `val`, `test`, or the path of a file with lines of source, tab, split. `jobs` is the number of
    processes, 0 for one a core. `allow_truncated` lets a clip end where it is cut short.
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
    allow_truncated: bool = False


@dataclass(frozen=True)
class RecordConfig:
    """What decides a record of the search, and how the work is done (`jobs` 0: one process a core).

    `share`: of the superblocks, 0 to 1, whose search is kept, drawn by `seed`; the rest as in LabelConfig. The default
    speed is the one that pruners pay most at (docs/pruners.md).
    """

    cq: tuple[int, ...] = (20, 32, 43, 55)
    cpu_used: int = 2
    usage: str = "good"
    size: tuple[int, int] | None = (960, 540)
    frames: int | None = None
    split: str = "auto"
    raw: str | None = None
    jobs: int = 0
    four_way: bool = True
    share: float = 0.5
    allow_truncated: bool = False
    seed: int = 0
