"""Sections of a comparison: the words and tables of its HTML, its Markdown and its terminal output alike."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from toolkit.experiments.compare import Comparison, short
from toolkit.experiments.groups import CONFIDENCE, EQUAL, ONE_SEED, Difference, Group, Measure, difference
from toolkit.experiments.reliability import BINS
from toolkit.experiments.run_reliability import RunReliability
from toolkit.experiments.run_summary import CHANGE, CONVERGED_WITHIN, FORGETTING, RunSummary, judge
from toolkit.reports.section import Cell, Section

Reliabilities = Mapping[Path, RunReliability]
_Score = Literal["ece", "nll", "temperature", "ece_scaled", "nll_scaled"]
_RELIABILITY: tuple[_Score, ...] = ("ece", "nll", "temperature", "ece_scaled", "nll_scaled")
_TONES = {"catastrophic forgetting": "bad", "loss": "bad", "gain": "good", "exceeds the seeds": "strong", EQUAL: "bad"}
COLOURS = ("#2f6fb5", "#d9762b", "#3c9a5f", "#b8405e", "#7d5ba6", "#8c6d46", "#d46fae", "#6b7280", "#a3a32c", "#2aa3b0")
GLOSSARY = "What the words mean"
NOTHING = "–"


def sections(comparison: Comparison, reliability: Reliabilities) -> list[Section]:
    """All sections of the report that have any content, in the order of reading."""
    found = [_ranking(comparison), _pairs(comparison), _unfreezing(comparison), _curves(comparison)]
    found += [_classes(comparison), _reliability(comparison, reliability), _differing(comparison)]
    found += [_runs(comparison, reliability), _baselines(comparison), _definitions(comparison)]
    return [section for section in found if section.text or section.rows]


def colour(place: int) -> str:
    """Colour of the group at a place of the ranking, in tables and pictures."""
    return COLOURS[place % len(COLOURS)]


def has_frozen(comparison: Comparison) -> bool:
    """Whether any run had its backbone frozen in some epoch: without one there is no unfreezing to speak of."""
    return any(run.best_frozen is not None for run in comparison.runs)


def headline(comparison: Comparison) -> str:
    """Result of the comparison in a sentence or two."""
    first, *others = comparison.groups
    if not first.counted:
        return "No run is finished yet: there is nothing to rank."
    text = f"{first.shown} is first with a macro-F1 of {_spread(first, _best)}"
    if not others or (found := difference(first, others[0])) is None:
        return f"{text}."
    return f"{text}; {others[0].shown} follows {found.value:.4f} behind ({found.verdict})."


def _best(run: RunSummary) -> float | None:
    return run.best["macro_f1"] if run.best else None


def _frozen(run: RunSummary) -> float | None:
    return run.best_frozen["macro_f1"] if run.best_frozen else None


def _unfrozen(run: RunSummary) -> float | None:
    return run.best_unfrozen["macro_f1"] if run.best_unfrozen else None


def _spread(group: Group, measure: Measure, digits: int = 4, sign: str = "") -> str:
    """Mean ± deviation over the seeds; the mean alone where there is one seed."""
    mean, deviation = group.mean(measure), group.deviation(measure)
    if mean is None:
        return NOTHING
    return f"{mean:{sign}.{digits}f}" + ("" if deviation is None else f" ± {deviation:.{digits}f}")


def _toned(text: str) -> Cell:
    return Cell(text, _TONES.get(text, "quiet"))


def _label(comparison: Comparison, group: Group) -> Cell:
    return Cell(group.shown, swatch=colour(comparison.groups.index(group)))


def _difference(found: Difference | None, digits: int = 4) -> str:
    if found is None:
        return NOTHING
    half = "" if found.half_width is None else f" ± {found.half_width:.{digits}f}"
    return f"{found.value:+.{digits}f}{half}"


def trivial_scores(run: RunSummary) -> dict[str, float]:
    """Macro-F1 of the best constant, and of a draw by the class shares of the training split."""
    found = run.description["baselines"]
    constant = found["best_constant"]
    return {f"always {constant['class']}": constant["macro_f1"], "drawn by shares": found["stratified"]["macro_f1"]}


def _ranking(comparison: Comparison) -> Section:
    first = comparison.groups[0]
    rows = []
    for group in comparison.groups:
        trivial = max(trivial_scores(group.runs[0]).values())
        mean, found = group.mean(), None if group is first else difference(group, first)
        above = Cell(NOTHING) if mean is None else Cell(f"{mean - trivial:+.4f}", "" if mean > trivial else "bad")
        row = [_label(comparison, group), Cell(group.runs[0].init), Cell(group.runs[0].backbone)]
        row += [Cell(str(len(group.counted))), Cell(_spread(group, _best)), above]
        rows.append([*row, Cell(_difference(found)), _toned(found.verdict) if found else Cell(NOTHING)])
    columns = (
        "recipe",
        "init",
        "backbone",
        "seeds",
        "best macro-F1",
        "above the trivial",
        "against the first",
        "verdict",
    )
    return Section("Ranking", "Best macro-F1 on the validation split.", columns, rows)


def _pairs(comparison: Comparison) -> Section:
    groups = [group for group in comparison.groups if group.counted]
    if len(groups) < 3:
        return Section("Every pair")  # of two groups, the ranking has all
    rows = []
    for place, a in enumerate(groups):
        row = [Cell(f"{place + 1}. {a.shown}", swatch=colour(place))]
        for other, b in enumerate(groups[1:], 1):
            found = difference(a, b) if place < other else None
            row.append(Cell(_difference(found, 3), _toned(found.verdict).tone) if found else Cell(""))
        rows.append(row)
    text = (
        f"Macro-F1 of the row less that of the one numbered so, with half its {CONFIDENCE:.0%} interval (Welch); "
        "highlighted where it exceeds the seeds. No correction is made for the number of pairs."
    )
    return Section("Every pair", text, ("recipe", *(f"less {place}" for place in range(2, len(groups) + 1))), rows)


def _unfreezing(comparison: Comparison) -> Section:
    if not has_frozen(comparison):
        return Section("Unfreezing")
    rows = []
    for group in comparison.groups:
        gain, drop = group.mean(lambda run: run.gain), group.mean(lambda run: run.drop)
        said = judge(gain, drop, frozen=group.mean(_frozen) is not None) if group.counted else NOTHING
        if gain is not None and len(group.counted) < 2:
            said = f"{said} ({ONE_SEED})"
        row = [_label(comparison, group), Cell(_spread(group, _frozen)), Cell(_spread(group, _unfrozen))]
        rows.append([*row, Cell(_spread(group, lambda run: run.gain, sign="+")), _toned(said)])
    columns = ("recipe", "best while frozen", "best after unfreezing", "gain or loss", "verdict")
    return Section("Unfreezing", "Macro-F1 before and after the backbone was let go.", columns, rows)


def _curves(comparison: Comparison) -> Section:
    dashed = ", dashed while the backbone is frozen, with a triangle at its unfreezing"
    text = (
        f"Thin: one run. Thick: the mean of its seeds{dashed if has_frozen(comparison) else ''}. Losses are comparable "
        "only between runs of the same loss function."
    )
    return Section("Curves", text)


def _classes(comparison: Comparison) -> Section:
    classes = comparison.runs[0].classes
    rows = [
        [_label(comparison, group), *(Cell(_spread(group, _best_of_class(name))) for name in classes)]
        for group in comparison.groups
    ]
    text = "The highest F1 that each class had in any epoch; no single epoch need have them all."
    return Section("Best of every class", text, ("recipe", *classes), rows)


def _best_of_class(name: str) -> Measure:
    return lambda run: run.best_of_class(name)


def _reliability(comparison: Comparison, reliability: Reliabilities) -> Section:
    if not reliability:
        return Section("Calibration", "Not measured.")
    rows = []
    for group in comparison.groups:
        cells = [Cell(_spread(group, _measured(reliability, name), 3)) for name in _RELIABILITY]
        rows.append([_label(comparison, group), *cells])
    text = (
        f"Of the best epoch: expected calibration error ({BINS} bins) and negative log-likelihood, before and after "
        "temperature scaling on the validation split itself."
    )
    columns = ("recipe", "ECE", "NLL", "temperature", "ECE scaled", "NLL scaled")
    return Section("Calibration", text, columns, rows)


def _measured(reliability: Reliabilities, name: _Score) -> Measure:
    return lambda run: reliability[run.path].metrics[name]


def _differing(comparison: Comparison) -> Section:
    settings = [group.settings for group in comparison.groups]
    keys = [k for k in settings[0] if any(s.get(k) != settings[0][k] for s in settings)]
    rows = [
        [_label(comparison, group), *(Cell(short(s.get(k))) for k in keys)]
        for group, s in zip(comparison.groups, settings, strict=True)
    ]
    text = "All other settings are equal." if len(settings) > 1 else ""
    columns = ("recipe", *(k.replace("_", "-") for k in keys))
    return Section("What differs", text, columns if keys else (), rows if keys else [])


def _runs(comparison: Comparison, reliability: Reliabilities) -> Section:
    rows, frozen = [], has_frozen(comparison)
    for group in comparison.groups:
        for run in group.runs:
            best = NOTHING if run.best is None else f"{run.best['macro_f1']:.4f} ({run.best['epoch']})"
            error = f"{reliability[run.path].metrics['ece']:.3f}" if run.path in reliability else NOTHING
            rows.append(
                [
                    Cell(run.name, swatch=_label(comparison, group).swatch),
                    Cell(str(run.seed)),
                    Cell(f"{len(run.history)} of {run.planned}", "" if run.finished else "bad"),
                    Cell(best), *(_unfreezing_of(run) if frozen else ()),
                    Cell(str(run.converged or NOTHING)), Cell(duration(run.seconds)), Cell(error),
                ]
            )  # fmt: skip
    parts = ("frozen", "unfrozen", "gain", "verdict") if frozen else ()
    columns = ("run", "seed", "epochs", "best (epoch)", *parts, "converged at epoch", "wall time", "ECE")
    return Section("Every run", "Macro-F1.", columns, rows)


def _unfreezing_of(run: RunSummary) -> list[Cell]:
    """Best while frozen, best after unfreezing, gain and verdict of one run."""
    parts = [Cell(NOTHING if v is None else f"{v:.4f}") for v in (_frozen(run), _unfrozen(run))]
    gain = Cell(NOTHING if run.gain is None else f"{run.gain:+.4f}")
    return [*parts, gain, Cell(run.verdict, "quiet")]  # of one run, and so of one seed


def duration(seconds: float | None) -> str:
    """Duration as text, in minutes and seconds or hours and minutes."""
    if seconds is None:
        return "not recorded"
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{seconds:.1f} s"


def _baselines(comparison: Comparison) -> Section:
    found = comparison.runs[0].description["baselines"]
    rows = [
        [Cell(f"always {name}"), *(Cell(f"{found['constant'][name][k]:.4f}") for k in ("macro_f1", "accuracy"))]
        for name in comparison.runs[0].classes
    ]
    drawn = found["stratified"]
    rows.append([Cell("drawn by shares"), Cell(f"{drawn['macro_f1']:.4f}"), Cell(f"{drawn['accuracy']:.4f}")])
    text = "What predictors that never look at a pixel score on the same blocks."
    return Section("Trivial baselines", text, ("predictor", "macro-F1", "accuracy"), rows)


def _definitions(comparison: Comparison) -> Section:
    meanings = {
        "best": "the epoch of the highest macro-F1 on the validation split. A maximum over epochs is optimistic, over "
        "many epochs more so; av1part evaluate scores the chosen model on the test split.",
        "± after a mean": "the sample standard deviation over seeds (finished runs of equal settings).",
        "exceeds the seeds": f"Welch's {CONFIDENCE:.0%} interval of the difference of two means leaves out zero. With "
        "one seed nothing can be said. Seeds tell nothing of how other photographs would come out.",
        EQUAL: "of every seed that both have, losses and scores of all epochs are alike to the last digit.",
    }
    unfreezing = {
        "gain or loss": "best macro-F1 after unfreezing less the best while frozen.",
        "catastrophic forgetting": f"a loss of more than {FORGETTING}: no later epoch came back to the frozen best.",
        "loss, gain, no change": f"a change of more than {CHANGE} down or up, or of no more than that.",
        "dropped, recovered": f"the first unfrozen epoch lost more than {FORGETTING}, and a later one made it good.",
    }
    meanings |= unfreezing if has_frozen(comparison) else {}
    meanings |= {
        "converged": f"the first epoch within {CONVERGED_WITHIN} of the run's best macro-F1.",
        "wall time": "training and validation of all epochs, without loading; see the notes for other machines.",
    }
    return Section(GLOSSARY, columns=("word", "meaning"), rows=[[Cell(k), Cell(v)] for k, v in meanings.items()])
