"""Runs side by side: only those that answer one question, seeds pooled, and a rule for when a difference is one."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from toolkit.errors import ToolkitError
from toolkit.experiments.run_summary import RunSummary
from toolkit.files import canonical_json

CONFIDENCE = 0.95
Measure = Callable[[RunSummary], float | None]


def macro_f1(run: RunSummary) -> float | None:
    """What runs are ranked by: the macro-F1 of the best epoch on the validation split."""
    return None if run.best is None else float(run.best["macro_f1"])


@dataclass(frozen=True)
class Group:
    """Runs of equal settings: seeds of one another. Statistics are over its finished runs alone."""

    label: str
    runs: tuple[RunSummary, ...]

    @property
    def settings(self) -> dict[str, Any]:
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
    """Mean of one group less that of another, with half the width of Welch's interval (None: one seed)."""

    value: float
    half_width: float | None

    @property
    def verdict(self) -> str:
        if self.half_width is None:
            return "one seed: cannot say"
        return "exceeds the seeds" if abs(self.value) > self.half_width else "within the seeds"


def difference(a: Group, b: Group, measure: Measure = macro_f1) -> Difference | None:
    """Compare two groups (Welch 1947: unequal variances); None where one has no value.

    The difference exceeds that of the seeds where the 95% confidence interval of the difference of means leaves
    out zero; from one seed of either group nothing can be said.
    """
    first, second = a.mean(measure), b.mean(measure)
    if first is None or second is None:
        return None
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


@dataclass(frozen=True)
class Comparison:
    """Groups from the highest mean macro-F1 to the lowest; those without a finished run last."""

    groups: tuple[Group, ...]
    notes: tuple[str, ...]

    @property
    def runs(self) -> list[RunSummary]:
        return [run for group in self.groups for run in group.runs]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {
            "stage": self.runs[0].stage,
            "data": self.runs[0].description["data"],
            "baselines": self.runs[0].description["baselines"],
            "groups": [
                {
                    "label": group.label,
                    "settings": group.settings,
                    "macro_f1": group.mean(),
                    "deviation": group.deviation(),
                    "seeds": len(group.counted),
                    "runs": [run.to_dict() for run in group.runs],
                }
                for group in self.groups
            ],
            "differences": [
                {"first": a.label, "second": b.label, "difference": d.value, "half_width": d.half_width}
                | {"verdict": d.verdict}
                for i, a in enumerate(self.groups)
                for b in self.groups[i + 1 :]
                if (d := difference(a, b)) is not None
            ],
            "notes": list(self.notes),
        }


def compare_runs(paths: Sequence[Path]) -> Comparison:
    """Read runs and group them.

    Raises ToolkitError where they differ in stage, data set or validation blocks (one ranking would mean nothing),
    where one has no finished epoch, or where two are one experiment counted twice.
    """
    if not paths:
        raise ToolkitError("No run to compare. Name run folders of `av1part train`.")
    runs = _named([RunSummary.read(path) for path in paths])
    _check_alike(runs)
    for run in runs:
        if run.best is None:
            raise ToolkitError(f"{run.path}: {len(run.history)} epochs are finished and none has a macro-F1. Train it.")
    by_settings: dict[bytes, list[RunSummary]] = defaultdict(list)
    for run in runs:
        by_settings[canonical_json(run.settings)].append(run)
    grouped = [sorted(members, key=lambda run: run.seed) for members in by_settings.values()]
    for members in grouped:
        _check_independent(members)
    groups = [Group(label, tuple(g)) for label, g in zip(_labels(grouped), grouped, strict=True)]
    groups.sort(key=lambda g: -math.inf if (mean := g.mean()) is None else mean, reverse=True)
    return Comparison(tuple(groups), tuple(_notes(runs)))


def _named(runs: list[RunSummary]) -> list[RunSummary]:
    """Tell runs of one folder name apart by their path."""
    names = [run.name for run in runs]
    return [
        run if names.count(run.name) == 1 else RunSummary(run.path, str(run.path), run.description, run.history)
        for run in runs
    ]


def _check_alike(runs: list[RunSummary]) -> None:
    def listed(value: Callable[[RunSummary], str]) -> str:
        found: dict[str, list[str]] = defaultdict(list)
        for run in runs:
            found[value(run)].append(run.name)
        return "" if len(found) == 1 else "; ".join(f"{k}: {', '.join(names)}" for k, names in found.items())

    checks: tuple[tuple[str, Callable[[RunSummary], str]], ...] = (
        ("stages", lambda run: f"stage {run.stage}"),
        ("data sets", lambda run: f"{run.data_sha256[:8]}... ({run.description['data']['path']})"),
        ("numbers of validation blocks", lambda run: f"{run.description['blocks']['val']} blocks"),
    )
    for what, value in checks:
        if different := listed(value):
            raise ToolkitError(
                f"These runs are of different {what}, and no ranking of them means anything: {different}. "
                "Compare each kind by itself; `av1part evaluate` scores a model on another data set."
            )


def _check_independent(members: list[RunSummary]) -> None:
    seen: dict[tuple[int, str], RunSummary] = {}
    for run in members:
        other = seen.setdefault((run.seed, run.start), run)
        if other is not run:
            raise ToolkitError(
                f"{other.name} and {run.name} have the same settings, first weights and seed {run.seed}: one "
                "experiment twice, which would make the seeds look closer than they are. Leave one away."
            )


def _labels(groups: list[list[RunSummary]]) -> list[str]:
    """The recipe of each group, with what it changed of the recipe where groups of one recipe differ."""
    labels = []
    for members in groups:
        first = members[0]
        alike = [g[0].settings for g in groups if g[0].recipe == first.recipe]
        keys = [k for k in first.settings if any(s.get(k) != first.settings[k] for s in alike)]
        shown = [f"{k.replace('_', '-')} {_short(first.settings[k])}" for k in keys if k in first.changed]
        labels.append(", ".join([first.recipe, *shown]))
    return labels


def _short(value: object) -> str:
    text = str(value)
    return text[:8] if len(text) == 64 else text  # a hash


def _notes(runs: list[RunSummary]) -> list[str]:
    notes = [
        f"{run.name} is unfinished ({len(run.history)} of {run.planned} epochs): it is shown, and left out of the "
        "means. Go on with `av1part train ... --resume`."
        for run in runs
        if not run.finished
    ]
    for key in sorted({k for run in runs for k in run.description["environment"]}):
        values = {str(run.description["environment"].get(key)) for run in runs}
        if len(values) > 1 and key != "git":
            notes.append(f"The runs were trained with different {key}: {', '.join(sorted(values))}.")
    return notes
