"""Regret from recorded costs: by hand on single nodes, and never too low on any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.pipeline.policy import ALL, bits
from integration.tuning.regret import Regret
from toolkit.data.blockset import BLOCK_DTYPE, COST_DTYPE
from toolkit.errors import ToolkitError
from toolkit.partition import HORZ, HORZ_4, HORZ_A, HORZ_B, INSIDE_LARGER, NONE, SPLIT, VERT, VERT_A, VERT_B

AB = bits(HORZ_A, HORZ_B, VERT_A, VERT_B)


def nodes(*costs: dict[int, float], bound: tuple[int, ...] = (), label: int = NONE, qindex: int = 9) -> Regret:
    """Nodes of one picture; a partition's time is ten times its id plus one, of 1000 seconds in all."""
    blocks, found = np.zeros(len(costs), BLOCK_DTYPE), np.zeros(len(costs), COST_DTYPE)
    blocks["partition"], blocks["qindex"] = label, qindex
    found["rd"] = np.nan
    for node, own in zip(found, costs, strict=True):
        for partition, rd in own.items():
            node["rd"][partition] = rd
            node["seconds"][partition] = 10 * partition + 1
        node["bound"] = sum(1 << k for k in bound)
    total = float(found["seconds"].sum())
    return Regret.of(blocks, found, min(total / 1000, 1))


def test_the_regret_is_what_the_best_of_the_rest_costs_more() -> None:
    regret = nodes({NONE: 120.0, HORZ: 110.0, SPLIT: 100.0})
    assert regret.of_masks(np.array([ALL], np.uint16)) == (0, 0, 0)
    loss, saving, lost = regret.of_masks(np.array([ALL - bits(SPLIT)], np.uint16))
    assert (loss, saving, lost) == pytest.approx((10, 3.1, 100))  # of 100; 31 of 1000 seconds
    assert regret.of_masks(np.array([bits(NONE)], np.uint16)) == pytest.approx((20, 4.2, 100))
    # What was never tried costs no time, and forbidding it nothing.
    assert regret.of_masks(np.array([ALL - AB], np.uint16)) == (0, 0, 0)


def test_a_node_that_would_be_left_nothing_keeps_all() -> None:
    regret = nodes({NONE: 120.0, SPLIT: 100.0})
    assert regret.of_masks(np.array([bits(HORZ, VERT)], np.uint16)) == (0, 0, 0)


def test_a_rectangle_stays_with_its_ab() -> None:
    regret = nodes({HORZ: 100.0, HORZ_A: 105.0, VERT: 130.0})
    assert regret.of_masks(np.array([bits(HORZ_A)], np.uint16)) == pytest.approx((0, 2.1, 0))


def test_a_rectangle_stays_with_its_4_way_partition() -> None:
    regret = nodes({HORZ: 100.0, HORZ_4: 105.0, VERT: 130.0})
    assert regret.of_masks(np.array([bits(HORZ_4)], np.uint16)) == pytest.approx((0, 2.1, 0))
    assert regret.of_masks(np.array([ALL - bits(HORZ_4)], np.uint16)) == pytest.approx((0, 8.1, 0))


def test_a_bound_is_worth_nothing_while_an_exact_cost_is_left() -> None:
    regret = nodes({NONE: 150.0, HORZ: 120.0, VERT: 101.0, SPLIT: 100.0}, bound=(VERT,))
    assert regret.of_masks(np.array([bits(NONE, HORZ, VERT)], np.uint16)).loss == pytest.approx(20)
    assert regret.of_masks(np.array([bits(VERT)], np.uint16)).loss == pytest.approx(50)  # as the worst that is known
    high = nodes({NONE: 110.0, VERT: 170.0}, bound=(VERT,))
    assert high.of_masks(np.array([bits(VERT)], np.uint16)).loss == pytest.approx(100 * 60 / 110)
    assert high.of_masks(np.array([bits(NONE)], np.uint16)).loss == 0


def test_inside_a_larger_block_a_mask_saves_and_loses_nothing() -> None:
    regret = nodes({NONE: 120.0, SPLIT: 100.0}, label=INSIDE_LARGER)
    assert regret.of_masks(np.array([bits(NONE)], np.uint16)) == pytest.approx((0, 3.1, 0))


def test_every_picture_counts_alike() -> None:
    """At a high qindex RD costs are far greater: the sum would be those of the worst quality alone."""
    blocks, costs = np.zeros(2, BLOCK_DTYPE), np.zeros(2, COST_DTYPE)
    blocks["qindex"], costs["seconds"] = (9, 200), 1
    costs["rd"] = np.nan
    costs["rd"][:, [NONE, SPLIT]] = [[110, 100], [110000, 100000]]
    regret = Regret.of(blocks, costs, 1)
    none = bits(NONE)
    assert regret.of_masks(np.array([none, ALL], np.uint16)).loss == pytest.approx(5)
    assert regret.of_masks(np.array([ALL, none], np.uint16)).loss == pytest.approx(5)
    parts = [regret.part(np.array([k])).of_masks(np.array([none], np.uint16)) for k in (0, 1)]
    assert sum(part.loss for part in parts) == pytest.approx(10)


def test_data_without_any_cost_are_refused() -> None:
    with pytest.raises(ToolkitError, match="--with-costs"):
        nodes({})


@given(seed=st.integers(0, 2**32), mask=st.integers(1, ALL))
def test_less_allowed_never_loses_less_nor_saves_less(seed: int, mask: int) -> None:
    rng = np.random.default_rng(seed)
    blocks, costs = np.zeros(30, BLOCK_DTYPE), np.zeros(30, COST_DTYPE)
    costs["rd"] = np.where(rng.random((30, 10)) < 0.3, np.nan, rng.uniform(1, 2, (30, 10)))
    costs["rd"][:, NONE] = rng.uniform(1, 2, 30)  # libaom tries it first and to the end
    costs["bound"], costs["seconds"] = rng.integers(0, 1 << 10, 30) & ~np.uint16(1), rng.random((30, 10))
    regret = Regret.of(blocks, costs, 0.5)
    smaller = (mask & int(rng.integers(0, ALL + 1))) | bits(NONE)
    more, less = (regret.of_masks(np.full(30, m, np.uint16)) for m in (mask | bits(NONE), smaller))
    assert 0 <= more.loss <= less.loss + 1e-9
    assert 0 <= more.saving <= less.saving + 1e-9 <= 50 + 1e-6
    assert more.lost <= less.lost
