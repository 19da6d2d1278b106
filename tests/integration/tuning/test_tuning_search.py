"""The search of thresholds on recorded costs: within the target, better than any single threshold, by qindex."""

from dataclasses import fields, replace
from itertools import product

import numpy as np
import pytest

from integration.pipeline.policy import Policy, Thresholds, answers
from integration.tuning.config import RULES, PolicyFitConfig
from integration.tuning.fit import fit_policy
from integration.tuning.regret import Regret
from integration.tuning.search import OFF, Nodes, Search, candidates
from toolkit.data.blockset import BLOCK_DTYPE, COST_DTYPE
from toolkit.errors import ToolkitError
from toolkit.partition import HORZ, HORZ_A, NONE, SPLIT, VERT

RANGES = (99, 255)


def nodes(count: int, seed: int = 0, *, wrong: bool = False, charge: float = 0) -> Nodes:
    """Nodes at qindex 60 and 200 and what a fair Stage 2 says of them, or one that is always `wrong`.

    At 200 a wrong decision costs ten times more. In the flatter half of them a search takes a hundredth of the time.
    """
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([0.7, 0.7, 0.7], count)
    best = np.array([rng.choice([SPLIT, HORZ, HORZ_A], p=row) for row in p])
    if wrong:
        best = np.array([SPLIT, HORZ, HORZ_A])[p.argmin(axis=1)]
    blocks, costs = np.zeros(count, BLOCK_DTYPE), np.zeros(count, COST_DTYPE)
    blocks["qindex"] = np.where(rng.random(count) < 0.5, 60, 200)
    costs["rd"] = np.nan
    dearer = rng.uniform(0, 0.02, (count, 4)) * np.where(blocks["qindex"] == 60, 1, 10)[:, None]
    for k, partition in enumerate((NONE, HORZ, SPLIT, HORZ_A)):
        costs["rd"][:, partition] = 100 * (1 + dearer[:, k])
    costs["rd"][np.arange(count), best] = 100
    costs["seconds"][:, [NONE, HORZ, VERT, SPLIT, HORZ_A]] = [1, 2, 2, 8, 4]
    flatness = rng.uniform(0, 0.2, count)
    costs["seconds"] *= np.where(flatness < 0.1, 0.01, 1)[:, None]
    return Nodes({"2": p}, blocks["qindex"], flatness, Regret.of(blocks, costs, 0.5), charge)


def of(probabilities: dict[str, np.ndarray]) -> Nodes:
    count = len(probabilities["2"])
    return replace(nodes(count), probabilities=probabilities) if count else nodes(1).part(np.arange(0))


def masks(nodes: Nodes, policy: Policy) -> np.ndarray:
    return policy.masks(nodes.qindex, nodes.deviation, answers(nodes.probabilities), nodes.node)


def test_a_policy_does_what_its_point_says_and_keeps_within_the_target() -> None:
    some = nodes(3000)
    search = Search(some, RANGES)
    saved = []
    for target in (0.02, 0.1, 0.4):
        point = search.within(target)
        found = some.regret.of_masks(masks(some, point.policy))
        assert point.outcome == pytest.approx(found)
        assert 0 < found.loss <= target
        saved.append(found.saving)
    assert saved == sorted(saved)
    assert search.within(0.02).outcome.saving == pytest.approx(saved[0])
    assert Search(some, RANGES).within(0.1).policy == search.within(0.1).policy


def test_thresholds_are_sought_together_and_by_qindex() -> None:
    some = nodes(3000)
    point = Search(some, RANGES).within(0.1)
    low, high = (thresholds for _, thresholds in point.policy.ranges)
    assert low.drop_ab_below > high.drop_ab_below  # where a mistake is dear, less is risked
    alone = []
    for name, value in product(("drop_ab_below", "drop_split_below", "drop_rect_below"), np.linspace(0, 1, 101)):
        outcome = some.regret.of_masks(masks(some, Policy.of(**{name: value})))
        alone.append(outcome.saving if outcome.loss <= 0.1 else 0)
    assert point.outcome.saving > max(alone)


def test_only_the_rules_asked_for_are_sought() -> None:
    assert {*RULES, "flat_below"} == {f.name for f in fields(Thresholds)}
    found = Search(nodes(500), (255,), ("drop_ab_below",)).within(0.3).policy.at(0)
    assert set(found.active) == {"drop_ab_below"}
    with pytest.raises(ToolkitError, match="drop_rect_below"):
        PolicyFitConfig(rules=("drop_all",))


def test_nothing_is_removed_where_everything_costs_too_much() -> None:
    some = nodes(500, wrong=True)
    point = Search(some, (255,)).within(1e-9)
    assert point.policy == Policy(((255, OFF),))
    assert point.outcome == (0, 0, 0)


def test_a_range_without_nodes_joins_the_next() -> None:
    some = nodes(500)
    policy = Search(some, (30, 99, 150, 230, 255)).within(0.2).policy
    assert [last for last, _ in policy.ranges] == [99, 255]


def test_flat_nodes_are_left_alone_where_asking_costs_more_than_it_saves() -> None:
    free, dear = nodes(3000), nodes(3000)
    whole = float(free.regret.seconds.sum()) / 0.5  # of which time is a percentage
    dear = replace(dear, charge=0.01 * whole / 3000)  # asking about every node: one percent
    without, with_charge = (Search(some, RANGES).within(0.3) for some in (free, dear))
    assert all(thresholds.flat_below == 0 for _, thresholds in without.policy.ranges)
    for _, thresholds in with_charge.policy.ranges:
        assert 0.06 <= thresholds.flat_below <= 0.14
    gross = dear.regret.of_masks(masks(dear, with_charge.policy)).saving
    asked = np.mean([free.deviation >= t.flat_below for _, t in with_charge.policy.ranges])
    assert with_charge.outcome.saving == pytest.approx(gross - asked, abs=0.05)


def test_candidates_touch_ever_more_nodes_whatever_the_calibration() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3))
    for temperature in (0.3, 3):  # over- and under-confident
        powers = np.exp(logits / temperature)
        p = powers / powers.sum(axis=1, keepdims=True)
        values = candidates(of({"2": p}))
        below = {f"drop_{name}_below" for name in ("ab", "rect", "split", "four_way")}
        assert set(values) == {*below, "split_only_above"}
        others, surest = p[p.argmax(axis=1) != 2, 2], p[p.argmax(axis=1) == 0, 0]
        assert (others < values["drop_ab_below"][5]).mean() == pytest.approx(0.3, abs=0.01)
        assert (surest > values["split_only_above"][5]).mean() == pytest.approx(0.3, abs=0.01)
        for name, steps in values.items():
            assert steps[0] == getattr(OFF, name)
            assert steps == sorted(steps, reverse=name.endswith("above"))
            assert Thresholds(**{name: steps[-1]})
    assert "none_only_above" in candidates(of({"1": p[:, :2], "2": p}))
    assert candidates(of({"2": p[:0]}))["drop_ab_below"] == [0]


@pytest.mark.parametrize(
    ("share", "wrong", "told"),
    [
        (5.0, False, "Choose a --backbone that takes less than"),
        (0.0, True, "Even if it took none, no policy would save time"),
    ],
)
def test_a_fit_that_finds_nothing_says_what_asking_costs(share: float, wrong: bool, told: str) -> None:
    some = nodes(500, wrong=wrong)
    whole = float(some.regret.seconds.sum()) / 0.5
    search = Search(replace(some, charge=share * whole / 500), RANGES)
    assert search.asking == pytest.approx(100 * share)
    with pytest.raises(ToolkitError, match=told) as caught:
        fit_policy(search, PolicyFitConfig(target_loss=1e-9 if wrong else 0.3))
    assert f"Asking the model about every node takes {100 * share:.1f}% of the encode's CPU time." in str(caught.value)


def test_at_8x8_nodes_only_thresholds_that_can_remove_something_are_tried() -> None:
    two = np.random.default_rng(0).dirichlet([0.7, 0.7], 50)
    small = replace(nodes(50), probabilities={"2": two}, node=8)
    assert set(candidates(small)) == {"drop_rect_below", "drop_split_below", "split_only_above"}
    policy = Search(small, RANGES, ("drop_split_below", "drop_ab_below")).within(0.5).policy
    assert not masks(small, policy).max() >> 4
