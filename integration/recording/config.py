"""Settings of `av1part label` and `av1part record`, apart from the work so that the commands can read the defaults."""

from dataclasses import dataclass

from integration.codec.config import CODING, EncoderSettings
from integration.media.config import ReadConfig, Size
from toolkit.option import option
from toolkit.partition import NODE

RECORDING = "Recording"
"""Group of options in the help of commands."""


@dataclass(frozen=True, kw_only=True)
class SourceConfig(ReadConfig, EncoderSettings):
    """How sources are read and coded, and with how many processes.

    Each is coded at every `cq`. `split` is `auto`, `train`, `val`, `test`, or the path of a file with lines of source,
    tab, split. `jobs` is the number of processes, 0 for one a core.
    """

    cq: tuple[int, ...] = option((20, 32, 43, 55), "Constant-quality levels, 0 to 63.", CODING)
    size: Size | None = (960, 540)
    split: str = option("auto", "auto, train, val, test, or a TSV file.", RECORDING)
    jobs: int = option(0, "Processes; 0 for one a core.", RECORDING, least=0)


@dataclass(frozen=True, kw_only=True)
class LabelConfig(SourceConfig):
    """Sources, and what is labelled of them.

    `nodes` are the sides of the nodes whose partitions are recorded, a data set for each; `with_costs` also records the
    cost of every partition that was tried (`toolkit.data.blockset.COST_DTYPE`).
    """

    with_costs: bool = option(
        True,
        "Also record the RD cost of every partition that libaom tried: about 1% of the time; at 16x16 nodes the data "
        "set is about twice as large.",
        RECORDING,
        flags="--with-costs/--no-costs",
    )
    nodes: tuple[int, ...] = (NODE,)


@dataclass(frozen=True, kw_only=True)
class RecordConfig(SourceConfig):
    """Sources, and what is recorded of the search of their frames.

    `share`: of the superblocks, 0 to 1, whose search is kept, drawn by `seed`. The default speed is that of the pruner
    in the box. With a `keyint` of 1 every frame is a key frame and is recorded. With a larger one the inter frames are
    recorded, and the key frames are not; `lag` frames are looked ahead.
    """

    cpu_used: int = 2
    keyint: int = option(
        1, "Largest distance between key frames; above 1, inter frames are recorded.", CODING, least=0, most=9999
    )
    share: float = option(0.5, "Share of the superblocks whose search is kept.", RECORDING, least=0, most=1)
    seed: int = option(0, "Seed that draws the superblocks.", RECORDING)

    @property
    def frame_kind(self) -> str:
        """Kind of the frames that are recorded, of toolkit.search.table.FRAME_KINDS."""
        return "key" if self.keyint == 1 else "inter"
