"""Options of the benchmark in the encoder and their defaults, without heavy imports."""

from dataclasses import asdict, dataclass

from integration.codec.config import CODING, EncoderSettings
from integration.media.config import ReadConfig
from toolkit.errors import ToolkitError
from toolkit.option import Options, option, same_option

ARMS = "Arms"
"""Group of options in the help of commands."""
MIN_CQ = 3
"""Smallest number of cqs that gives a BD-rate."""


def check_cq(cq: tuple[int, ...]) -> None:
    """Raise ToolkitError unless there are enough different cq levels for a BD-rate."""
    if len(cq) < MIN_CQ or len(set(cq)) != len(cq) or not all(0 <= q <= 63 for q in cq):
        given = ",".join(map(str, cq))
        raise ToolkitError(
            f"--cq {given}: expected at least {MIN_CQ} different levels from 0 to 63, as in 20,32,43,55."
        )


@dataclass(frozen=True)
class InputConfig(ReadConfig):
    """How clips are read and coded: each at every `cq`, `repeats` times.

    `any_settings` lets a pipeline mask encodes of a usage or libaom that it was not made for. `usage`, `four_way`,
    `keyint`, `lag` and `tune` are those of every encode (EncoderSettings); with a keyint above 1 no frame is masked.
    Raises ToolkitError on cqs that give no BD-rate.
    """

    cq: tuple[int, ...] = option((20, 32, 43, 55), "Constant-quality levels.", CODING)
    repeats: int = option(2, "Runs of each encode.", CODING, least=1)
    usage: str = same_option(EncoderSettings, "usage")
    any_settings: bool = option(
        False, "Accept a pipeline made for another usage or libaom.", CODING, flags="--any-settings"
    )
    four_way: bool = same_option(EncoderSettings, "four_way")
    keyint: int = same_option(EncoderSettings, "keyint")
    lag: int = same_option(EncoderSettings, "lag")
    tune: str = same_option(EncoderSettings, "tune")

    def __post_init__(self) -> None:
        check_cq(self.cq)
        if self.repeats < 1:
            raise ToolkitError(f"--repeats {self.repeats}: expected at least 1.")

    @property
    def settings(self) -> Options:
        """All options in JSON types, the size as `WxH`."""
        return asdict(self) | {"size": self.size_text}

    def coded(self, cpu_used: int, threads: int = 1) -> EncoderSettings:
        """How a clip is coded at a speed, on so many threads."""
        return EncoderSettings(cpu_used, self.usage, threads, self.keyint, self.lag, self.four_way, self.tune)


@dataclass(frozen=True)
class BenchConfig(InputConfig):
    """Arms of a benchmark: native `presets`, and those of them that are coded with masks as well (`masked`).

    Presets above 6 search no partitions in all-intra usage, and are as 6 in GOOD: nothing is masked there.

    The first preset is the anchor of every BD-rate and time saving. Everything is coded with each number of `threads`;
    BD-rates and CPU times are those of the first. A pruner is an arm at each of `prices`, or at its own price. Raises
    ToolkitError on values that make no benchmark.
    """

    presets: tuple[int, ...] = option((0, 1, 2, 3), "Speeds of libaom alone; the first is the anchor.", ARMS)
    masked: tuple[int, ...] = option((1, 2), "Speeds that are coded with masks or the pruner as well.", ARMS)
    threads: tuple[int, ...] = option((1,), "Numbers of threads; the first gives CPU times.", ARMS)
    prices: tuple[float, ...] = option((), "Prices of the pruner, as in 0.02,0.05.  [default: its own]", ARMS)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_numbers("--presets", self.presets, 0, 9)
        _check_numbers("--masked", self.masked, 0, 6)
        _check_numbers("--threads", self.threads, 1, 64)
        if absent := set(self.masked) - set(self.presets):
            raise ToolkitError(f"--masked {min(absent)}: not among --presets, so nothing native to set it beside.")


def _check_numbers(option: str, values: tuple[int, ...], low: int, high: int) -> None:
    if not values or len(set(values)) != len(values) or not all(low <= v <= high for v in values):
        given = ",".join(map(str, values))
        raise ToolkitError(f"{option} {given}: expected different numbers from {low} to {high}.")
