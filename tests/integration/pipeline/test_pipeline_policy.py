"""The policy: remove-only, legal whatever the thresholds, one-sided by default."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.pipeline.policy import ALL, Policy, Thresholds, answers, bits, deviation
from integration.tuning.search import OFF
from toolkit.errors import ToolkitError
from toolkit.partition import HORZ, HORZ_4, HORZ_A, HORZ_B, NODE, NONE, SPLIT, STAGES, VERT, VERT_4, VERT_A, VERT_B
from toolkit.windows import Window

NAMES = [f.name for f in fields(Thresholds)]
AB = bits(HORZ_A, HORZ_B, VERT_A, VERT_B)


def masks(thresholds: Thresholds, probabilities: dict[str, list[list[float]]]) -> list[int]:
    arrays = {stage: np.array(rows, dtype=np.float64) for stage, rows in probabilities.items()}
    return thresholds.masks(np.zeros(len(next(iter(arrays.values())))), answers(arrays), NODE).tolist()


@st.composite
def drawn(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Any probabilities of any cascade, equal and extreme ones included."""
    count = draw(st.integers(1, 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    stages = ["2", *draw(st.sets(st.sampled_from(["1", "3-rect", "3-ab"])))]
    sharp = draw(st.sampled_from([0.05, 1.0, 50.0]))
    return {s: rng.dirichlet([sharp] * len(STAGES[s].classes), count) for s in stages}


THRESHOLDS = st.builds(Thresholds, **{name: st.floats(0, 1) for name in NAMES})


@given(thresholds=THRESHOLDS, p=drawn())
def test_no_thresholds_make_an_illegal_mask(thresholds: Thresholds, p: dict[str, np.ndarray]) -> None:
    found = thresholds.masks(np.zeros(len(p["2"])), answers(p), NODE)
    assert found.dtype == np.uint16
    assert (found & ALL != 0).all()
    assert (found & ~np.uint16(ALL) == 0).all()
    inputs = bits(SPLIT, HORZ, VERT)
    assert (found[found & AB != 0] & inputs == inputs).all()
    assert (found[found & bits(HORZ_4) != 0] & bits(HORZ) != 0).all()
    assert (found[found & bits(VERT_4) != 0] & bits(VERT) != 0).all()
    if "1" in p:
        sure = p["1"][:, 0] < 0.5
        assert (found[~sure] & bits(NONE) != 0).all()
    else:
        assert (found & bits(NONE) != 0).all()


@given(p=drawn(), data=st.data())
def test_looser_thresholds_never_remove_more(p: dict[str, np.ndarray], data: st.DataObject) -> None:
    def of(thresholds: Thresholds) -> np.ndarray:
        return thresholds.masks(np.zeros(len(p["2"])), answers(p), NODE)

    strict = data.draw(THRESHOLDS)
    lower = [n for n in NAMES if n.startswith("drop_")]  # flat_below frees nodes: the higher, the looser
    looser = {n: getattr(strict, n) * 0.5 if n in lower else (1 + getattr(strict, n)) / 2 for n in NAMES}
    assert (of(strict) & ~of(Thresholds(**looser)) == 0).all()


def test_a_policy_that_removes_nothing() -> None:
    idle = Thresholds(**{n: 0.0 if "below" in n else 1.0 for n in NAMES})
    assert masks(idle, {"1": [[1, 0]], "2": [[1, 0, 0]], "3-rect": [[1, 0]], "3-ab": [[1, 0, 0, 0]]}) == [ALL]


@pytest.mark.parametrize(
    ("split_rect_ab", "expected"),
    [
        ([0.30, 0.40, 0.30], ALL),
        ([0.46, 0.40, 0.14], ALL - AB),
        ([0.02, 0.50, 0.48], ALL),  # AB keeps its inputs
        ([0.02, 0.88, 0.10], ALL - AB - bits(SPLIT)),
        ([0.81, 0.03, 0.16], bits(NONE, SPLIT)),
        ([0.50, 0.00, 0.50], ALL),
    ],
)
def test_stage_2_alone_by_the_default_thresholds(split_rect_ab: list[float], expected: int) -> None:
    assert masks(Thresholds(), {"2": [split_rect_ab]}) == [expected]


def test_stage_1_leaves_none_alone_only_where_it_is_sure_and_keeps_it_otherwise() -> None:
    found = masks(Thresholds(), {"1": [[0.96, 0.04], [0.94, 0.06], [0.0, 1.0]], "2": [[0.3, 0.4, 0.3]] * 3})
    assert found == [bits(NONE), ALL, ALL]
    assert masks(Thresholds(drop_none_below=0.02), {"1": [[0.01, 0.99]], "2": [[0.3, 0.4, 0.3]]}) == [ALL - bits(NONE)]


def test_stages_3_drop_members_but_no_direction_while_an_ab_stays() -> None:
    few = [[0.01, 0.99]]
    assert masks(Thresholds(), {"2": [[0.4, 0.5, 0.1]], "3-rect": few}) == [ALL - AB - bits(HORZ, HORZ_4)]
    assert masks(Thresholds(), {"2": [[0.3, 0.4, 0.3]], "3-rect": few}) == [ALL]
    kinds = [[0.01, 0.01, 0.5, 0.48]]
    assert masks(Thresholds(), {"2": [[0.3, 0.4, 0.3]], "3-ab": kinds}) == [ALL - bits(HORZ_A, HORZ_B)]
    both = {"2": [[0.3, 0.4, 0.3]], "3-rect": few, "3-ab": kinds}
    assert masks(Thresholds(), both) == [ALL - bits(HORZ_A, HORZ_B)]


def test_4_way_partitions_go_where_the_policy_says_so_and_stay_otherwise() -> None:
    p = {"2": [[0.6, 0.1, 0.3], [0.3, 0.4, 0.3], [0.2, 0.1, 0.7]]}
    assert masks(Thresholds(), p) == [ALL, ALL, ALL]
    gone = ALL - bits(HORZ_4, VERT_4)
    assert masks(Thresholds(drop_four_way_below=0.2), p) == [gone, ALL, gone]
    alone = Thresholds(split_only_above=1, drop_split_below=0, drop_ab_below=0, drop_four_way_below=0.2)
    assert masks(alone, p) == [gone, ALL, gone]


def test_later_stages_are_asked_only_where_they_can_matter() -> None:
    asked: dict[str, list[int]] = {}
    p = {
        "1": [[0.99, 0.01], [0.1, 0.9], [0.1, 0.9], [0.1, 0.9]],
        "2": [[0.3, 0.4, 0.3], [0.9, 0.05, 0.05], [0.4, 0.5, 0.1], [0.3, 0.4, 0.3]],
        "3-rect": [[0.5, 0.5]] * 4,
        "3-ab": [[0.25] * 4] * 4,
    }

    def ask(stage: str, index: np.ndarray) -> np.ndarray:
        asked[stage] = index.tolist()
        return np.array(p[stage], dtype=np.float64)[index]

    Thresholds().masks(np.zeros(4), ask, NODE)
    assert asked == {"1": [0, 1, 2, 3], "2": [1, 2, 3], "3-ab": [3], "3-rect": [2]}
    asked.clear()
    Thresholds(flat_below=0.1).masks(np.array([0.2, 0.09, 0.1, 0.0]), ask, NODE)
    assert asked == {"1": [0, 2], "2": [2], "3-ab": [], "3-rect": [2]}  # flat nodes are nobody's question
    asked.clear()
    assert OFF.masks(np.zeros(4), ask, NODE).tolist() == [ALL] * 4
    assert asked == {}  # what removes nothing needs no answer


@pytest.mark.parametrize(("bit_depth", "dtype"), [(8, np.uint8), (10, np.uint16), (16, np.uint16)])
def test_flatness_is_the_deviation_of_the_node_alone(bit_depth: int, dtype: type) -> None:
    top, window = (1 << bit_depth) - 1, Window(context=8)
    luma = np.random.default_rng(0).integers(0, top + 1, (5, 1, 32, 32)).astype(dtype)
    luma[0], luma[1, :, 8:24, 8:16], luma[1, :, 8:24, 16:24] = 7, 0, top
    expected = luma[:, 0, 8:24, 8:24].reshape(5, -1).astype(np.float64).std(axis=1) / top
    np.testing.assert_allclose(deviation(luma, bit_depth, window), expected, atol=1e-12)
    assert deviation(luma, bit_depth, window)[:2].tolist() == [0, 0.5]
    whole = luma.reshape(5, -1).astype(np.float64).std(axis=1) / top
    np.testing.assert_allclose(deviation(luma, bit_depth, Window(32)), whole, atol=1e-12)


def test_every_block_is_judged_by_the_thresholds_of_its_qindex() -> None:
    p = {"2": np.tile([0.3, 0.4, 0.3], (5, 1))}
    qindex = np.array([0, 99, 100, 255, 50], np.uint8)
    policy = Policy(((99, Thresholds()), (255, Thresholds(drop_ab_below=0.35))))
    assert policy.masks(qindex, np.zeros(len(qindex)), answers(p), NODE).tolist() == [ALL, ALL, ALL - AB, ALL - AB, ALL]


def test_ranges_of_qindex_are_cut_as_the_settings_ask() -> None:
    policy = Policy.from_text(["drop_ab_below=0.2", "drop_ab_below@128-255=0.3", "drop_ab_below @ 100 - 140 = 0.4"])
    found = {q: policy.at(q).drop_ab_below for q in (0, 99, 100, 127, 128, 140, 141, 255)}
    assert found == {0: 0.2, 99: 0.2, 100: 0.4, 127: 0.4, 128: 0.4, 140: 0.4, 141: 0.3, 255: 0.3}
    assert {t.drop_split_below for _, t in policy.ranges} == {0.03}


def test_policies_are_read_back_and_wrong_ones_refused() -> None:
    policy = Policy.from_text(["drop_ab_below@0-99=0.2", "split_only_above = 1"])
    assert Policy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy
    assert policy.at(100) == Thresholds(split_only_above=1)
    for wrong in (
        {"drop_everything": 0.1},
        {"drop_ab_below": 1.5},
        {"drop_ab_below": "0.1"},
        {"drop_ab_below": True},
        [],
        {"ranges": []},
        {"ranges": [{}]},
        {"ranges": [{"to_qindex": 254}]},
        {"ranges": [{"to_qindex": "255"}]},
        {"ranges": [{"to_qindex": 255, "drop_all": 0.1}]},
        {"ranges": [{"to_qindex": 255}, {"to_qindex": 255}]},
        {"ranges": [{"to_qindex": 255}], "drop_ab_below": 0.1},
        {"ranges": {"to_qindex": 255}},
    ):
        with pytest.raises(ToolkitError, match="Policy"):
            Policy.from_dict(wrong)
    for text, said in (
        ("drop_ab_below", "NAME=VALUE"),
        ("drop_ab_below@7=0.1", "NAME@LOW-HIGH=VALUE"),
        ("drop_ab_below@9-8=0.1", "range of qindex"),
        ("drop_ab_below@0-256=0.1", "range of qindex"),
        ("drop_ab_below=nan", "nan"),
        ("drop_all@0-9=0.1", "drop_all"),
    ):
        with pytest.raises(ToolkitError, match=said):
            Policy.from_text([text])


def test_a_policy_written_before_there_were_ranges_is_still_read() -> None:
    old = dict.fromkeys(NAMES, 0.5)
    assert Policy.from_dict(old) == Policy(((255, Thresholds(**old)),))
    assert Policy.from_dict({"drop_ab_below": 0.3}).at(7) == Thresholds(drop_ab_below=0.3)


def test_at_8x8_nodes_there_is_no_ab_that_keeps_others() -> None:
    """Whatever the thresholds of AB and 4-way; a stage is asked only where it can remove something."""
    p = {
        "2": np.array([[0.9, 0.1], [0.02, 0.98], [0.4, 0.6]]),
        "3-rect": np.array([[0.5, 0.5], [0.99, 0.01], [0.3, 0.7]]),
    }
    thresholds = replace(OFF, drop_split_below=0.05, drop_rect_below=0.2, drop_ab_below=1.0, drop_direction_below=0.1)
    everything = bits(NONE, HORZ, VERT, SPLIT)
    found = thresholds.masks(np.zeros(3), answers(p), 8)
    assert found.tolist() == [bits(NONE, SPLIT), bits(NONE, HORZ), everything]

    def never(stage: str, index: np.ndarray) -> np.ndarray:
        raise AssertionError(f"stage {stage} can remove nothing")

    only_ab = replace(OFF, drop_ab_below=1.0, drop_four_way_below=1.0)
    assert only_ab.masks(np.zeros(3), never, 8).tolist() == [everything] * 3
    assert OFF.masks(np.zeros(1), never, 128).tolist() == [ALL - bits(HORZ_4, VERT_4)]
