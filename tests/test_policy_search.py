"""The search of thresholds on recorded costs: within the target, better than any single threshold, by qindex."""

from itertools import product

import numpy as np
import pytest

from integration.policy import Policy, Thresholds, answers
from integration.policy_search import OFF, Search, candidates
from integration.regret import Regret
from toolkit.blocks import BLOCK_DTYPE, COST_DTYPE
from toolkit.partition import HORZ, HORZ_A, NONE, SPLIT, VERT

RANGES = (99, 255)


def nodes(count: int, seed: int = 0, *, wrong: bool = False) -> tuple[dict[str, np.ndarray], np.ndarray, Regret]:
    """Nodes at qindex 60 and 200 and what a fair Stage 2 says of them, or one that is always `wrong`.

    At 200 a wrong decision costs ten times more.
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
    return {"2": p}, blocks["qindex"], Regret.of(blocks, costs, 0.5)


def test_a_policy_does_what_its_point_says_and_keeps_within_the_target() -> None:
    p, qindex, regret = nodes(3000)
    search = Search(p, qindex, regret, RANGES)
    saved = []
    for target in (0.02, 0.1, 0.4):
        point = search.within(target)
        found = regret.of_masks(point.policy.masks(qindex, answers(p)))
        assert point.outcome == pytest.approx(found)
        assert 0 < found.loss <= target
        saved.append(found.saving)
    assert saved == sorted(saved)
    assert search.within(0.02).outcome.saving == pytest.approx(saved[0])
    assert Search(p, qindex, regret, RANGES).within(0.1).policy == search.within(0.1).policy


def test_thresholds_are_sought_together_and_by_qindex() -> None:
    p, qindex, regret = nodes(3000)
    point = Search(p, qindex, regret, RANGES).within(0.1)
    low, high = (thresholds for _, thresholds in point.policy.ranges)
    assert low.drop_ab_below > high.drop_ab_below  # where a mistake is dear, less is risked
    alone = []
    for name, value in product(("drop_ab_below", "drop_split_below", "drop_rect_below"), np.linspace(0, 1, 101)):
        outcome = regret.of_masks(Policy.of(**{name: value}).masks(qindex, answers(p)))
        alone.append(outcome.saving if outcome.loss <= 0.1 else 0)
    assert point.outcome.saving > max(alone)


def test_nothing_is_removed_where_everything_costs_too_much() -> None:
    p, qindex, regret = nodes(500, wrong=True)
    point = Search(p, qindex, regret, (255,)).within(1e-9)
    assert point.policy == Policy(((255, OFF),))
    assert point.outcome == (0, 0, 0)


def test_a_range_without_nodes_joins_the_next() -> None:
    p, qindex, regret = nodes(500)
    policy = Search(p, qindex, regret, (30, 99, 150, 230, 255)).within(0.2).policy
    assert [last for last, _ in policy.ranges] == [99, 255]


def test_candidates_touch_ever_more_nodes_whatever_the_calibration() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3))
    for temperature in (0.3, 3):  # over- and under-confident
        powers = np.exp(logits / temperature)
        p = powers / powers.sum(axis=1, keepdims=True)
        values = candidates({"2": p})
        assert set(values) == {"drop_ab_below", "drop_rect_below", "drop_split_below", "split_only_above"}
        others, surest = p[p.argmax(axis=1) != 2, 2], p[p.argmax(axis=1) == 0, 0]
        assert (others < values["drop_ab_below"][5]).mean() == pytest.approx(0.3, abs=0.01)
        assert (surest > values["split_only_above"][5]).mean() == pytest.approx(0.3, abs=0.01)
        for name, steps in values.items():
            assert steps[0] == getattr(OFF, name)
            assert steps == sorted(steps, reverse=name.endswith("above"))
            assert Thresholds(**{name: steps[-1]})
    assert "none_only_above" in candidates({"1": p[:, :2], "2": p})
    assert candidates({"2": p[:0]})["drop_ab_below"] == [0]
