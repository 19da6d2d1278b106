"""Compare runs: only such as answer one question, with the runs that differ in the seed alone pooled."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from toolkit.errors import ToolkitError
from toolkit.experiments.groups import Group, difference, equal_runs
from toolkit.experiments.run_summary import RunRecord, RunSummary
from toolkit.files import canonical_json
from toolkit.metrics import Baselines
from toolkit.option import Options


class GroupRecord(TypedDict):
    """A group as --json gives it. `macro_f1` and `deviation` are over its `seeds` finished runs."""

    label: str
    settings: Options
    macro_f1: float | None
    deviation: float | None
    seeds: int
    runs: list[RunRecord]


class DifferenceRecord(TypedDict):
    """Difference of two groups as --json gives it, as in `groups.Difference`."""

    first: str
    second: str
    difference: float
    half_width: float | None
    verdict: str


class ComparisonRecord(TypedDict):
    """A comparison as --json gives it. `data`: path and sha256 of the runs' data set."""

    stage: str
    data: Mapping[str, Any]
    baselines: Baselines
    groups: list[GroupRecord]
    differences: list[DifferenceRecord]
    notes: list[str]


@dataclass(frozen=True)
class Comparison:
    """Groups from the highest mean macro-F1 to the lowest; groups without a finished run stand last."""

    groups: tuple[Group, ...]
    notes: tuple[str, ...]

    @property
    def runs(self) -> list[RunSummary]:
        return [run for group in self.groups for run in group.runs]

    def to_dict(self) -> ComparisonRecord:
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
                {
                    "first": a.label,
                    "second": b.label,
                    "difference": d.value,
                    "half_width": d.half_width,
                    "verdict": d.verdict,
                }
                for i, a in enumerate(self.groups)
                for b in self.groups[i + 1 :]
                if (d := difference(a, b)) is not None
            ],
            "notes": list(self.notes),
        }


def compare_runs(paths: Sequence[Path]) -> Comparison:
    """Read runs and group those that differ in the seed alone.

    Raises ToolkitError where runs differ in stage, data set or validation blocks, so that a ranking would mean nothing;
    where a run has no macro-F1; and where two runs are the same experiment.
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
    return Comparison(tuple(groups), (*_idle_inits(runs), *_equal_groups(groups), *_notes(runs)))


def _named(runs: list[RunSummary]) -> list[RunSummary]:
    """Rename runs whose folders have the same name after their paths."""
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
    """Label of each group: its recipe, and the settings that tell it from other groups of the same recipe."""
    labels = []
    for members in groups:
        first = members[0]
        alike = [g[0].settings for g in groups if g[0].recipe == first.recipe]
        keys = [k for k in first.settings if any(s.get(k) != first.settings[k] for s in alike)]
        shown = [f"{k.replace('_', '-')} {short(first.settings[k])}" for k in keys if k in first.changed]
        labels.append(", ".join([first.recipe, *shown]))
    return labels


def short(value: object) -> str:
    """Text of a setting's value: whole, but the first 8 digits of a hash."""
    text = str(value)
    return text[:8] if len(text) == 64 else text  # 64 characters are a hash


def _equal_groups(groups: Sequence[Group]) -> list[str]:
    """Notes on groups that were trained twice under two names: all that tells them apart changed nothing."""
    return [
        f"{one.name} and {other.name} have equal weights: losses and scores of all {len(one.history)} epochs are alike "
        "to the last digit. What differs between them changed nothing, and no ranking of the two means anything."
        for place, group in enumerate(groups)
        for later in groups[place + 1 :]
        for one, other in equal_runs(group, later)
    ]


def _idle_inits(runs: Sequence[RunSummary]) -> list[str]:
    """Notes on inits that changed nothing: runs of different inits that start from one backbone."""
    first: dict[str, RunSummary] = {}
    pairs = [(first.setdefault(run.start, run), run) for run in runs]
    return [
        f"The init changed nothing: {one.name} ({one.init}) and {other.name} ({other.init}) start from equal backbones."
        " A Stage 1 that never left its frozen epochs has the backbone that it started from: train it for longer, or "
        "with fewer --freeze-epochs."
        for one, other in pairs
        if one.init != other.init
    ]


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
