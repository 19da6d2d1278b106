"""Groups of runs that differ in the seed alone, and whether the difference of two groups exceeds that of the seeds."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from scipy.stats import t as student

from toolkit.experiments.run_summary import RunSummary
from toolkit.option import Options

CONFIDENCE = 0.95
EQUAL, ONE_SEED = "equal weights", "one seed: cannot say"
"""Verdicts on two groups of which nothing can be said."""
Measure = Callable[[RunSummary], float | None]
"""One number of a run; None where the run does not have it."""


def macro_f1(run: RunSummary) -> float | None:
    """Macro-F1 of the best epoch on the validation split, by which runs are ranked."""
    return None if run.best is None else float(run.best["macro_f1"])


@dataclass(frozen=True)
class Group:
    """Runs that differ in the seed alone. Its statistics count finished runs only."""

    label: str
    runs: tuple[RunSummary, ...]

    @property
    def shown(self) -> str:
        """Name in a report: of a single run its own, as it was given, and the label unless the name holds it."""
        name = self.runs[0].name
        if len(self.runs) > 1 or name == self.label:
            return self.label
        return name if self.label in name else f"{name} ({self.label})"

    @property
    def settings(self) -> Options:
        return self.runs[0].settings

    @cached_property
    def counted(self) -> tuple[RunSummary, ...]:
        return tuple(run for run in self.runs if run.finished)

    def values(self, measure: Measure = macro_f1) -> list[float]:
        return [v for run in self.counted if (v := measure(run)) is not None]

    def mean(self, measure: Measure = macro_f1) -> float | None:
        values = self.values(measure)
        return math.fsum(values) / len(values) if values else None

    def deviation(self, measure: Measure = macro_f1) -> float | None:
        """Sample standard deviation over the seeds; None for fewer than two."""
        values, mean = self.values(measure), self.mean(measure)
        if mean is None or len(values) < 2:
            return None
        return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


@dataclass(frozen=True)
class Difference:
    """Mean of one group minus that of another.

    `half_width`: half the width of Welch's interval; None where either group has one seed. `equal`: the groups' runs
    have equal weights, so that they are one experiment and the difference says nothing.
    """

    value: float
    half_width: float | None
    equal: bool = False

    @property
    def verdict(self) -> str:
        if self.equal:
            return EQUAL
        if self.half_width is None:
            return ONE_SEED
        return "exceeds the seeds" if abs(self.value) > self.half_width else "within the seeds"


def equal_runs(a: Group, b: Group) -> list[tuple[RunSummary, RunSummary]]:
    """Pairs of finished runs of two groups with one seed and equal weights; empty unless every shared seed has such."""
    if a is b:
        return []
    others = {run.seed: run for run in b.counted}
    pairs = [(run, others[run.seed]) for run in a.counted if run.seed in others]
    return pairs if all(one.outcome == other.outcome for one, other in pairs) else []


def difference(a: Group, b: Group, measure: Measure = macro_f1) -> Difference | None:
    """Difference of two groups (Welch 1947: unequal variances); None where a group has no value.

    It exceeds the seeds where the 95% confidence interval of the difference of means leaves out zero. With one seed in
    either group there is no interval.
    """
    first, second = a.mean(measure), b.mean(measure)
    if first is None or second is None:
        return None
    if equal_runs(a, b):
        return Difference(first - second, None, equal=True)
    counts = len(a.values(measure)), len(b.values(measure))
    deviations = a.deviation(measure), b.deviation(measure)
    if deviations[0] is None or deviations[1] is None:
        return Difference(first - second, None)
    parts = [s**2 / n for s, n in zip((deviations[0], deviations[1]), counts, strict=True)]
    if sum(parts) == 0:
        return Difference(first - second, 0.0)
    freedom = sum(parts) ** 2 / sum(p**2 / (n - 1) for p, n in zip(parts, counts, strict=True))
    half = float(student.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(sum(parts))
    return Difference(first - second, half)
