"""A pruner's price and its overrides of libaom's speed features, sought together by encodes.

libaom's presets were balanced for a search that nobody prunes; once it is pruned, other parts are a larger share.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from integration.bench.bd import Curve, bd_rate
from integration.bench.config import InputConfig
from integration.bench.session import NATIVE, PRUNER, Arm, Session
from integration.bench.store import Measurement
from integration.codec.config import CHROMAS
from integration.codec.libaom_build import libraries
from integration.codec.overrides import features
from integration.media.sources import SourceFile, identify
from integration.media.ssim import ssim_decibels
from integration.pruning.bundle import PrunerBundle, Tuned, reseal
from integration.tuning.config import TuneConfig
from toolkit.errors import ToolkitError
from toolkit.files import one_at_a_time

PRICES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.3, 0.45, 0.7)
"""Prices that are tried, beside the pruner's own."""
FAIR = 0.06
"""BD-rate, in points for each point of time saved, up to which a change is worth combining with others. libaom's own
presets charge 0.04 to 0.09."""
STEP = 0.02
"""Points by which a change has to be worth it: less is within what repeated encodes differ by."""
Change = tuple[str, int]
"""A feature and a value for it."""
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Point:
    """A price and overrides, which are name and value, sorted by name."""

    price: float
    overrides: tuple[tuple[str, int], ...] = ()

    def with_feature(self, name: str, value: int | None) -> "Point":
        """The same with a feature at a value; None: at libaom's own."""
        own = dict(self.overrides)
        own.pop(name, None)
        return Point(self.price, tuple(sorted([*own.items(), *([] if value is None else [(name, value)])])))


@dataclass(frozen=True)
class Trial:
    """What a point gave against libaom alone at the same speed, in percent.

    `loss` is BD-rate by PSNR-Y or by SSIM, whichever is worse; `saving` is of the CPU time, deciding charged.
    """

    point: Point
    loss: float
    saving: float
    loss_psnr: float
    loss_ssim: float

    def to_dict(self) -> dict[str, object]:
        """The trial in JSON types."""
        return {
            "price": self.point.price,
            "overrides": dict(self.point.overrides),
            "saving": self.saving,
            "loss_psnr": self.loss_psnr,
            "loss_ssim": self.loss_ssim,
        }

    def __str__(self) -> str:
        named = ", ".join(f"{name}={value}" for name, value in self.point.overrides)
        return (
            f"{self.saving:.1f}% of the CPU time saved for {self.loss_psnr:+.2f}% bytes by PSNR, "
            f"{self.loss_ssim:+.2f}% by SSIM: price {self.point.price:g}{', ' if named else ''}{named}"
        )


class Bed:
    """Where points are tried: encodes of the sources at a speed, kept in `work`, so that a stopped search goes on."""

    def __init__(
        self, pruner: PrunerBundle, sources: Sequence[Path], work: Path, config: InputConfig, cpu_used: int
    ) -> None:
        self.files: list[SourceFile] = identify(sources)
        self.session = Session(work, config, pruner=pruner)
        self.session.check(self.files)
        self._cq, self._speed, self._number = config.cq, cpu_used, 0
        self._alone = {file: [self._measure(file, cq) for cq in self._cq] for file in self.files}

    def _measure(self, file: SourceFile, cq: int, point: Point | None = None, repeat: int = 0) -> Measurement:
        arm = Arm(NATIVE, self._speed)
        if point is not None:
            arm = Arm(PRUNER, self._speed, price=point.price, overrides=point.overrides)
        return self.session.measure(file, cq, arm, repeat)

    def attempt(self, point: Point) -> Trial:
        """Code every source at every cq by a point.

        The machine's pace changes in the hours that a search takes. So libaom alone is timed again beside each point,
        at every second cq in turn, and the point's time is set against that.
        """
        self._number += 1
        paced, own = 0.0, 0.0
        psnr, ssim, seconds = [], [], 0.0
        for place, (file, alone) in enumerate(self._alone.items()):
            made = [self._measure(file, cq, point) for cq in self._cq]
            for again in range((self._number + place) % 2, len(self._cq), 2):
                paced += self._measure(file, self._cq[again], repeat=self._number).seconds
                own += alone[again].seconds
            seconds += sum(m.seconds for m in made)
            psnr.append(bd_rate(_curve(alone, lambda m: m.psnr_y), _curve(made, lambda m: m.psnr_y)))
            ssim.append(bd_rate(_curve(alone, _decibels), _curve(made, _decibels)))
        whole = sum(m.seconds for alone in self._alone.values() for m in alone) * paced / own
        by_psnr, by_ssim = fmean(psnr), fmean(ssim)
        return Trial(point, max(by_psnr, by_ssim), 100 * (1 - seconds / whole), by_psnr, by_ssim)


def _curve(made: Sequence[Measurement], quality: Callable[[Measurement], float]) -> Curve:
    return Curve([m.bytes for m in made], [quality(m) for m in made])


def _decibels(measurement: Measurement) -> float:
    return ssim_decibels(measurement.ssim_y)


def seek(
    attempt: Callable[[Point], Trial], start: Point, changes: Sequence[Change], trials: int, seed: int = 0
) -> Iterator[Trial]:
    """Try `trials` points: the start, each change alone, the good ones together, then offspring.

    A point of the offspring crosses two of the frontier, and changes the price or one feature. What is tried next
    depends on the seed and on earlier trials alone.
    """
    done: dict[Point, Trial] = {}
    for point in _points(done, start, changes, random.Random(seed)):
        if len(done) >= trials:
            return
        if point not in done:
            done[point] = attempt(point)
            yield done[point]


def _points(
    done: Mapping[Point, Trial], start: Point, changes: Sequence[Change], rng: random.Random
) -> Iterator[Point]:
    yield start
    for change in changes:
        yield start.with_feature(*change)
    worth = {change: _worth(done[start.with_feature(*change)], done[start]) for change in changes}
    good = sorted((change for change in changes if worth[change] > STEP), key=lambda change: -worth[change])
    best: dict[str, int] = {}
    for name, value in good:
        best.setdefault(name, value)
    together = start
    for name, value in best.items():
        together = together.with_feature(name, value)
        yield together
    while True:
        yield _offspring(frontier(list(done.values())), good, rng)


def _worth(trial: Trial, base: Trial) -> float:
    """Points of BD-rate that a trial gains on the base, its time at the FAIR price."""
    return FAIR * (trial.saving - base.saving) - (trial.loss - base.loss)


def _offspring(parents: Sequence[Trial], good: Sequence[Change], rng: random.Random) -> Point:
    first, second = rng.choice(parents).point, rng.choice(parents).point
    point = Point(rng.choice((first.price, second.price)))
    for name in sorted({name for name, _ in (*first.overrides, *second.overrides)}):
        point = point.with_feature(name, dict(rng.choice((first, second)).overrides).get(name))
    if good and rng.random() < 0.6:
        name, value = rng.choice(good)
        return point.with_feature(name, None if dict(point.overrides).get(name) == value else value)
    return Point(rng.choice(PRICES), point.overrides)


def every_change() -> list[Change]:
    """Every value of every feature that can be overridden."""
    return [(name, value) for name, (least, most) in features().items() for value in range(least, most + 1)]


def frontier(trials: Sequence[Trial]) -> list[Trial]:
    """Trials that no other beats in both loss and saving, by saving."""
    kept: list[Trial] = []
    for trial in sorted(trials, key=lambda t: (-t.saving, t.loss)):
        if not kept or trial.loss < kept[-1].loss:
            kept.append(trial)
    return kept[::-1]


def speed_of(pruner: PrunerBundle, config: TuneConfig) -> int:
    """Speed that is tuned: the config's, else the one that the pruner was made for."""
    return int(pruner.encoder["cpu_used"]) if config.cpu_used is None else config.cpu_used


def encodes_of(pruner: PrunerBundle, config: TuneConfig) -> InputConfig:
    """Settings of the encodes: those of the pruner's record, but for what the config says."""
    own = {name: getattr(config, name) for name in ("size", "frames", "raw", "allow_truncated", "chroma", "cq", "tune")}
    recorded = pruner.encoder
    four_way = bool(recorded["enable_1to4_partitions"])
    return InputConfig(**own, repeats=1, usage=recorded["usage"], four_way=four_way)


def tune(
    pruner: PrunerBundle,
    sources: Sequence[Path],
    work: Path,
    config: TuneConfig,
    progress: Progress = lambda done, total, what: None,
) -> list[Trial]:
    """Seek prices and overrides by encodes of the sources at a speed; the trials in their order.

    Encodes stay in `work`, so that a search that was stopped goes on. Raises ToolkitError where the pruner was trained
    on a source or does not suit the settings, and where another search is at work in the same folder.
    """
    cpu_used = speed_of(pruner, config)
    start = Point(pruner.price, tuple(sorted(pruner.overrides(cpu_used).items())))
    found: list[Trial] = []
    with one_at_a_time(work / "lock", f"{work}: another search is at work there. Wait for it, or choose another."):
        bed = Bed(pruner, sources, work, encodes_of(pruner, config), cpu_used)
        for trial in seek(bed.attempt, start, every_change(), config.trials):
            found.append(trial)
            progress(len(found), config.trials, str(trial))
    return found


def choose(trials: Sequence[Trial], config: TuneConfig) -> Trial:
    """The trial that saves most for at most the loss allowed; ToolkitError where none is as cheap."""
    cheap = [trial for trial in frontier(trials) if trial.loss <= config.max_loss]
    if not cheap:
        least = min(trial.loss for trial in trials)
        raise ToolkitError(
            f"--max-loss {config.max_loss:g}: the cheapest of {len(trials)} points costs {least:+.2f}%. Allow as much, "
            "or give more --trials."
        )
    return cheap[-1]


def tuned_pruner(
    pruner: PrunerBundle, chosen: Trial, output: Path, config: TuneConfig, *, overwrite: bool = False
) -> PrunerBundle:
    """Write the pruner's folder again with a trial's price, and its overrides at the speed that was tuned."""
    cpu_used = speed_of(pruner, config)
    overrides = {**pruner.manifest.get("overrides", {}), str(cpu_used): dict(chosen.point.overrides)}
    where: Tuned = {
        "version": libraries().version,
        "cpu_used": cpu_used,
        "chroma": CHROMAS[config.chroma],
        "tune": config.tune,
    }
    return reseal(pruner, output, chosen.point.price, overrides, where, overwrite=overwrite)
