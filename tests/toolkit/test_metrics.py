import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from toolkit.errors import ToolkitError
from toolkit.metrics import baselines, classification_metrics, flat_f1

STAGE_2 = ("SPLIT", "RECT", "AB")


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_scores_by_hand() -> None:
    m = classification_metrics(ints(0, 0, 0, 1, 1, 2), ints(0, 0, 1, 1, 2, 2), STAGE_2)
    assert m["accuracy"] == pytest.approx(4 / 6)
    assert m["confusion"] == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert m["per_class"]["SPLIT"] == {"precision": 1.0, "recall": pytest.approx(2 / 3), "f1": 0.8, "support": 3}
    assert m["per_class"]["AB"]["f1"] == pytest.approx(2 / 3)
    assert m["macro_f1"] == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)
    assert flat_f1(m) == {"split_f1": 0.8, "rect_f1": 0.5, "ab_f1": pytest.approx(2 / 3)}


def test_the_always_split_predictor_on_the_field_s_shares() -> None:
    # 15.7 / 46.8 / 37.5 %: always SPLIT scores about 9 macro-F1, which is what one "trained" model reported.
    targets = np.repeat(ints(0, 1, 2), [157, 468, 375])
    constant = baselines(targets, targets, STAGE_2)["constant"]
    assert constant["SPLIT"]["macro_f1"] == pytest.approx(2 * 0.157 / 1.157 / 3)


def test_best_constants_are_chosen_on_the_scored_targets_and_majority_on_the_fitted() -> None:
    b = baselines(ints(0, 0, 1), ints(1, 1, 1, 0, 2), STAGE_2)
    assert b["majority"] == {"class": "SPLIT", **b["constant"]["SPLIT"]}
    assert b["best_constant"]["class"] == "RECT"
    assert b["best_constant_by_accuracy"]["accuracy"] == pytest.approx(0.6)
    assert b["stratified"].keys() == {"accuracy", "macro_f1"}


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
def test_no_constant_beats_the_best_constant(pairs: list[tuple[int, int]]) -> None:
    targets, predictions = (ints(*column) for column in zip(*pairs, strict=True))
    b = baselines(targets, targets, STAGE_2)
    assert b["best_constant"]["macro_f1"] == max(c["macro_f1"] for c in b["constant"].values())
    assert b["majority"]["accuracy"] == b["best_constant_by_accuracy"]["accuracy"]
    m = classification_metrics(targets, predictions, STAGE_2)
    assert sum(c["support"] for c in m["per_class"].values()) == np.sum(m["confusion"]) == len(targets)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=80), st.data())
def test_scores_are_scikit_learn_s_to_the_bit(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    true, predicted = (ints(*column) for column in zip(*pairs, strict=True))
    classes, labels = ("a", "b", "c", "d"), range(4)
    kind = data.draw(st.sampled_from([np.int64, np.uint8]))
    found = classification_metrics(true.astype(kind), predicted.astype(kind), classes)
    assert found["confusion"] == confusion_matrix(true, predicted, labels=labels).tolist()
    columns = precision_recall_fscore_support(true, predicted, labels=labels, zero_division=0)
    assert [tuple(found["per_class"][name].values()) for name in classes] == list(zip(*columns, strict=True))
    assert found["macro_f1"] == f1_score(true, predicted, average="macro", zero_division=0)
    nothing = np.zeros((len(true), 1))
    dummy = DummyClassifier(strategy="stratified", random_state=0).fit(nothing, predicted)
    drawn = classification_metrics(true, dummy.predict(nothing), classes)
    assert baselines(predicted, true, classes)["stratified"] == {k: drawn[k] for k in ("accuracy", "macro_f1")}


def test_an_absent_class_costs_a_perfect_predictor_nothing() -> None:
    assert classification_metrics(ints(0, 2, 2), ints(0, 2, 2), STAGE_2)["macro_f1"] == 1.0


@pytest.mark.parametrize(
    ("targets", "predictions", "message"),
    [
        (ints(), ints(), "no targets"),
        (ints(0, 1), ints(0), "2 targets, 1 predictions"),
        (ints(0, 3), ints(0, 1), "run from 0 to 3"),
        (ints(0, -1), ints(0, 1), "run from -1"),
        (np.array([0.0]), ints(0), "float64"),
    ],
)
def test_refused(targets: np.ndarray, predictions: np.ndarray, message: str) -> None:
    with pytest.raises(ToolkitError, match=message):
        classification_metrics(targets, predictions, STAGE_2)
