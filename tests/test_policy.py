"""The policy: remove-only, legal whatever the thresholds, one-sided by default."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.policy import ALL, Policy, bits
from toolkit.errors import ToolkitError
from toolkit.partition import HORZ, HORZ_A, HORZ_B, NONE, SPLIT, STAGES, VERT, VERT_A, VERT_B

NAMES = [f.name for f in fields(Policy)]
AB = bits(HORZ_A, HORZ_B, VERT_A, VERT_B)


def masks(policy: Policy, probabilities: dict[str, list[list[float]]]) -> list[int]:
    arrays = {stage: np.array(rows, dtype=np.float64) for stage, rows in probabilities.items()}
    count = len(next(iter(arrays.values())))
    return policy.masks(count, lambda stage, index: arrays[stage][index] if stage in arrays else None).tolist()


@st.composite
def answers(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Any probabilities of any cascade, equal and extreme ones included."""
    count = draw(st.integers(1, 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    stages = ["2", *draw(st.sets(st.sampled_from(["1", "3-rect", "3-ab"])))]
    sharp = draw(st.sampled_from([0.05, 1.0, 50.0]))
    return {s: rng.dirichlet([sharp] * len(STAGES[s].classes), count) for s in stages}


POLICIES = st.builds(Policy, **{name: st.floats(0, 1) for name in NAMES})


@given(policy=POLICIES, p=answers())
def test_no_thresholds_make_an_illegal_mask(policy: Policy, p: dict[str, np.ndarray]) -> None:
    found = policy.masks(len(p["2"]), lambda stage, index: p[stage][index] if stage in p else None)
    assert found.dtype == np.uint16
    assert (found & ALL != 0).all()
    assert (found & ~np.uint16(ALL) == 0).all()
    inputs = bits(SPLIT, HORZ, VERT)
    assert (found[found & AB != 0] & inputs == inputs).all()
    if "1" in p:
        sure = p["1"][:, 0] < 0.5
        assert (found[~sure] & bits(NONE) != 0).all()
    else:
        assert (found & bits(NONE) != 0).all()


@given(p=answers(), data=st.data())
def test_looser_thresholds_never_remove_more(p: dict[str, np.ndarray], data: st.DataObject) -> None:
    def of(policy: Policy) -> np.ndarray:
        return policy.masks(len(p["2"]), lambda stage, index: p[stage][index] if stage in p else None)

    strict = data.draw(POLICIES)
    looser = {n: getattr(strict, n) * 0.5 if "below" in n else (1 + getattr(strict, n)) / 2 for n in NAMES}
    assert (of(strict) & ~of(Policy(**looser)) == 0).all()


def test_a_policy_that_removes_nothing() -> None:
    idle = Policy(**{n: 0.0 if "below" in n else 1.0 for n in NAMES})
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
    assert masks(Policy(), {"2": [split_rect_ab]}) == [expected]


def test_stage_1_leaves_none_alone_only_where_it_is_sure_and_keeps_it_otherwise() -> None:
    found = masks(Policy(), {"1": [[0.96, 0.04], [0.94, 0.06], [0.0, 1.0]], "2": [[0.3, 0.4, 0.3]] * 3})
    assert found == [bits(NONE), ALL, ALL]
    assert masks(Policy(drop_none_below=0.02), {"1": [[0.01, 0.99]], "2": [[0.3, 0.4, 0.3]]}) == [ALL - bits(NONE)]


def test_stages_3_drop_members_but_no_direction_while_an_ab_stays() -> None:
    few = [[0.01, 0.99]]
    assert masks(Policy(), {"2": [[0.4, 0.5, 0.1]], "3-rect": few}) == [ALL - AB - bits(HORZ)]
    assert masks(Policy(), {"2": [[0.3, 0.4, 0.3]], "3-rect": few}) == [ALL]
    kinds = [[0.01, 0.01, 0.5, 0.48]]
    assert masks(Policy(), {"2": [[0.3, 0.4, 0.3]], "3-ab": kinds}) == [ALL - bits(HORZ_A, HORZ_B)]
    both = {"2": [[0.3, 0.4, 0.3]], "3-rect": few, "3-ab": kinds}
    assert masks(Policy(), both) == [ALL - bits(HORZ_A, HORZ_B)]


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

    Policy().masks(4, ask)
    assert asked == {"1": [0, 1, 2, 3], "2": [1, 2, 3], "3-ab": [3], "3-rect": [2]}


def test_policies_are_read_back_and_wrong_ones_refused() -> None:
    policy = Policy.from_text(["drop_ab_below=0.2", "split_only_above = 1"])
    assert (policy.drop_ab_below, policy.split_only_above, policy.drop_split_below) == (0.2, 1.0, 0.03)
    assert Policy.from_dict(policy.to_dict()) == policy
    for wrong in (
        {"drop_everything": 0.1},
        {"drop_ab_below": 1.5},
        {"drop_ab_below": "0.1"},
        {"drop_ab_below": True},
        [],
    ):
        with pytest.raises(ToolkitError, match="Policy"):
            Policy.from_dict(wrong)
    with pytest.raises(ToolkitError, match="NAME=VALUE"):
        Policy.from_text(["drop_ab_below"])
    with pytest.raises(ToolkitError, match="nan"):
        Policy.from_text(["drop_ab_below=nan"])
