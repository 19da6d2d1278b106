"""Options of fitting a policy and their defaults, without heavy imports."""

from dataclasses import dataclass
from itertools import pairwise

from integration.bench.config import InputConfig
from integration.codec.config import CODING, EncoderSettings
from integration.media.config import SOURCES, ReadConfig, Size
from toolkit.data.splits import HELD_OUT
from toolkit.errors import ToolkitError
from toolkit.option import Options, option, same_option

SEARCH, TRIALS = "Search", "Trials"
"""Groups of options in the help of commands."""

RULES = (
    "none_only_above",
    "drop_none_below",
    "split_only_above",
    "drop_split_below",
    "drop_rect_below",
    "drop_ab_below",
    "drop_direction_below",
    "drop_ab_kind_below",
    "drop_four_way_below",
)
"""Thresholds of a policy that can remove partitions. `flat_below` removes nothing, and is always sought."""

STAGES: dict[str, Options] = {
    "1": {"loss": "cross-entropy", "epochs": 5},
    "2": {"loss": "cost-ce", "epochs": 12},
}
"""Stages of the masks that `av1part fit` learns from a data set, the options of each beside recipe `best`: those of the
16x16 pipeline in docs/benchmarks-masks.md."""


@dataclass(frozen=True, kw_only=True)
class TryConfig(ReadConfig):
    """How `av1part fit` tries what it learnt: how sources are read, and the most BD-rate to lose, in percent.

    `frames` None takes 2 of a source, and 16 for a record of inter frames. Raises ToolkitError on a loss that is none.
    """

    target_loss: float = option(0.5, "Most BD-rate to lose, in percent.", TRIALS)
    size: Size | None = (768, 512)
    frames: int | None = option(
        None,
        "Only the first N frames of each source.  [default: 2, and 16 for a record of inter frames]",
        SOURCES,
        least=1,
    )

    def __post_init__(self) -> None:
        if not self.target_loss > 0:
            raise ToolkitError(f"--target-loss {self.target_loss:g}: expected percent above 0, as in 0.5.")

    def frames_of(self, frame_kind: str) -> int:
        """Number of frames of a source that a pruner of frames of that kind, key or inter, is tried on."""
        return self.frames or (2 if frame_kind == "key" else 16)


@dataclass(frozen=True)
class PolicyFitConfig(InputConfig):
    """How thresholds are sought: on a held-out `split` of data with RD costs, for a loss of `target_loss` percent.

    `rules` are the thresholds that are sought; the others stay off. The default is the set that gave most in encodes
    (docs/benchmarks-masks.md). `ranges` holds the last qindex of every range with its own thresholds. `share` is the
    part of an encode's CPU time that goes into the search of these nodes and all below them; a mask can save no other.
    Where clips are given, at most `checks` policies are tried on them by encoding, which the inherited options are
    about. `allow_loss` takes a policy that saved no time on them. Raises ToolkitError on values that make no search.
    """

    target_loss: float = option(0.3, "In percent; see above.", SEARCH)
    split: str = option("val", "Split to search on.", SEARCH, HELD_OUT)
    rules: tuple[str, ...] = option(("none_only_above", "drop_ab_below"), "Thresholds to seek.", SEARCH)
    ranges: tuple[int, ...] = option((103, 149, 195, 255), "Last qindex of each range.", SEARCH)
    share: float = option(0.8, "Share of encode time in these nodes.", SEARCH)
    checks: int = option(3, "Largest number of trials on clips.", SEARCH, least=1)
    repeats: int = 1
    allow_loss: bool = option(False, "Take a policy that saves no time on the clips.", SEARCH, flags="--allow-loss")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.target_loss > 0:
            raise ToolkitError(f"--target-loss {self.target_loss}: expected percent above 0, as in 0.3.")
        if self.split not in HELD_OUT:
            raise ToolkitError(f"--split {self.split}: expected a held-out one, {' or '.join(HELD_OUT)}.")
        unknown = set(self.rules) - set(RULES)
        if unknown or not self.rules:
            raise ToolkitError(f"--rules {','.join(self.rules)}: expected one or more of {', '.join(RULES)}.")
        if not self.ranges or self.ranges[-1] != 255 or not all(a < b for a, b in pairwise((-1, *self.ranges))):
            given = ",".join(map(str, self.ranges))
            raise ToolkitError(f"--ranges {given}: expected the last qindex of each range, rising to 255.")
        if not 0 < self.share <= 1:
            raise ToolkitError(f"--share {self.share}: expected a share of the encode's time, above 0 to 1.")


@dataclass(frozen=True)
class TuneConfig(ReadConfig):
    """How a pruner is tuned: what `trials` points give in encodes of photographs at one speed.

    `cpu_used` None is the speed that the pruner was made for. The first points are the pruner as it is and every value
    of each feature alone: fewer `trials` than these leave values untried. `max_loss`: BD-rate in percent, by PSNR-Y or
    by SSIM, whichever is worse, that the chosen point may cost.
    """

    cpu_used: int | None = option(None, "Speed that is tuned.  [default: the pruner's]", CODING, least=0, most=6)
    cq: tuple[int, ...] = option((20, 32, 43, 55), "Constant-quality levels.", CODING)
    tune: str = same_option(EncoderSettings, "tune")
    trials: int = option(200, "Points to try, the first with one feature changed.", SEARCH, least=1)
    max_loss: float = option(0.5, "BD-rate in percent that the chosen point may cost.", SEARCH)
