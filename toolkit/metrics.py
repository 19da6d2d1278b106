"""Classification metrics, scikit-learn's to the bit, and the trivial baselines that every report shows beside them."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ToolkitError


class ClassScores(TypedDict):
    """Scores of one class, 0 to 1; `support` is its number of blocks."""

    precision: float
    recall: float
    f1: float
    support: int


class Scores(TypedDict):
    """Result of `classification_metrics`."""

    accuracy: float
    macro_f1: float
    per_class: dict[str, ClassScores]
    confusion: list[list[int]]


class BaselineScores(TypedDict):
    """Scores of a predictor that never looks at a pixel."""

    accuracy: float
    macro_f1: float


ConstantScores = TypedDict("ConstantScores", {"class": str, "accuracy": float, "macro_f1": float})
"""BaselineScores of one constant, and the class that it always names."""


NamedScore = TypedDict("NamedScore", {"class": str, "macro_f1": float})
"""What every reader may rely on of ConstantScores."""


class Baselines(TypedDict):
    """Result of `baselines`."""

    constant: dict[str, BaselineScores]
    majority: ConstantScores
    best_constant: ConstantScores
    best_constant_by_accuracy: ConstantScores
    stratified: BaselineScores


def _check(what: str, values: NDArray[np.int64], classes: Sequence[str]) -> None:
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise ToolkitError(f"Metrics: {what} are {values.dtype}{values.shape}, expected a row of class indices.")
    if not len(values):
        raise ToolkitError(f"Metrics: no {what}. A score over nothing means nothing; use a split that has blocks.")
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= len(classes):
        raise ToolkitError(f"Metrics: {what} run from {low} to {high}, expected 0 to {len(classes) - 1}.")


def classification_metrics(
    targets: NDArray[np.int64], predictions: NDArray[np.int64], classes: Sequence[str]
) -> Scores:
    """Score predicted class indices (N,) against the true ones (N,).

    `per_class` is by class name. `confusion` has a row for each true class and a column for each predicted one. A
    ratio whose denominator is 0 counts as 0. `macro_f1` is the mean over the classes that occur in the targets or the
    predictions, as in scikit-learn. Raises ToolkitError on no blocks, unequal lengths or an index outside the classes.
    """
    _check("targets", targets, classes)
    _check("predictions", predictions, classes)
    if len(targets) != len(predictions):
        raise ToolkitError(f"Metrics: {len(targets)} targets, {len(predictions)} predictions; expected as many.")
    count = len(classes)
    places = targets.astype(np.int64) * count + predictions.astype(np.int64)  # of no narrower type: 255 wraps
    confusion = np.bincount(places, minlength=count * count).reshape(count, count)
    right, true, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = _ratio(2 * right, true + predicted)
    columns = _ratio(right, predicted), _ratio(right, true), f1, true
    per_class: dict[str, ClassScores] = {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for name, p, r, f, s in zip(classes, *columns, strict=True)
    }
    return {
        "accuracy": float((targets == predictions).mean()),
        "macro_f1": float(f1[true + predicted > 0].mean()),
        "per_class": per_class,
        "confusion": confusion.tolist(),
    }


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)


def flat_f1(metrics: Scores) -> dict[str, float]:
    """F1 of each class under its lower-case name, as in `{"split_f1": 0.5}`."""
    return {f"{name.lower()}_f1": float(scores["f1"]) for name, scores in metrics["per_class"].items()}


def baselines(fitted: NDArray[np.int64], targets: NDArray[np.int64], classes: Sequence[str]) -> Baselines:
    """Score predictors that never look at a pixel on `targets` (N,), after fitting them on `fitted` (M,).

    `constant`: always the same class, by class name. `majority`: always the most frequent class of `fitted`.
    `best_constant`: the constant of the highest macro-F1 on `targets`. `best_constant_by_accuracy`: the constant of
    the highest accuracy there. `stratified`: drawn at random (seed 0) by the class shares of `fitted`. Raises
    ToolkitError as `classification_metrics` does.
    """
    _check("fitted targets", fitted, classes)
    _check("targets", targets, classes)

    def score(predictions: NDArray[np.int64]) -> BaselineScores:
        metrics = classification_metrics(targets, predictions, classes)
        return {"accuracy": metrics["accuracy"], "macro_f1": metrics["macro_f1"]}

    constant = {name: score(np.full(len(targets), index, np.int64)) for index, name in enumerate(classes)}
    majority = classes[int(np.bincount(fitted, minlength=len(classes)).argmax())]
    by_f1 = max(classes, key=lambda name: constant[name]["macro_f1"])
    by_accuracy = max(classes, key=lambda name: constant[name]["accuracy"])
    present, counts = np.unique(fitted, return_counts=True)
    rng = np.random.RandomState(0)
    drawn = present[rng.multinomial(1, counts / len(fitted), size=len(targets)).argmax(axis=1)].astype(np.int64)
    return {
        "constant": constant,
        "majority": {"class": majority, **constant[majority]},
        "best_constant": {"class": by_f1, **constant[by_f1]},
        "best_constant_by_accuracy": {"class": by_accuracy, **constant[by_accuracy]},
        "stratified": score(drawn),
    }
