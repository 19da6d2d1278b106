"""What wrong decisions cost: regrets by hand, under flips, in losses, in training and in the choice of an epoch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from support.blocks import make_blocks

from toolkit.cli.main import main
from toolkit.data.blockset import COST_DTYPE, Blocks, BlockSet
from toolkit.data.costs import class_regret, regret_metrics
from toolkit.data.write import Source, write_blockset
from toolkit.errors import ToolkitError
from toolkit.model.augment import turned_classes, turned_labels, views
from toolkit.model.config import ModelConfig
from toolkit.partition import STAGES
from toolkit.training.config import TrainConfig
from toolkit.training.losses import loss_of, make_loss
from toolkit.training.run_folder import RunFolder
from toolkit.training.selection import evaluate, select_epoch
from toolkit.training.train import train

NAN = np.nan
COUNTS = torch.tensor([5, 6, 7])


def test_exact_costs_give_exact_regrets_at_every_stage() -> None:
    #                       NONE HORZ VERT SPLIT  A    B    A    B
    blocks = make_blocks([[100, 120, 110, 130, 180, 170, 160, 150]], [0])
    expect = {"1": [0, 0.1], "2": [130 / 110 - 1, 0, 150 / 110 - 1], "3-rect": [120 / 110 - 1, 0]}
    expect["3-ab"] = [180 / 150 - 1, 170 / 150 - 1, 160 / 150 - 1, 0]
    for stage, values in expect.items():
        regret = class_regret(blocks, stage).share
        assert regret.dtype == np.float32
        np.testing.assert_allclose(regret, [values], rtol=1e-5)


def test_what_was_not_searched_to_the_end_counts_as_typical_within_its_bounds() -> None:
    rd = [
        [NAN, 110, NAN, 100, NAN, NAN, NAN, NAN],  # RECT lost by 10%: the typical loss of RECT; AB was not tried
        [NAN, 100, NAN, 104, NAN, NAN, NAN, NAN],  # SPLIT lost by 4%
        [NAN, 101, NAN, 100, NAN, NAN, NAN, NAN],  # RECT is a lower bound of 1%
        [NAN, 130, NAN, 100, NAN, NAN, NAN, NAN],  # RECT is a lower bound of 30%
        [NAN, 106, 101, 100, NAN, NAN, NAN, NAN],  # VERT is a lower bound, HORZ lost by 6%: RECT cost 1 to 6% more
        [NAN, 101, NAN, 102, NAN, NAN, NAN, NAN],  # nothing was searched to the end
    ]
    blocks = make_blocks(rd, [3, 1, 3, 3, 3, 1], [0, 0, 1 << 1, 1 << 1, 1 << 2, 1 << 1 | 1 << 3])
    regret = class_regret(blocks, "2")
    split, rect, every = 0.04, 0.1, 0.07  # AB never lost in sight: the median over all classes
    expect = [
        [0, 0.1, every],
        [0.04, 0, every],
        [0, rect, every],
        [0, 0.3, every],
        [0, 0.06, every],
        [split, 0, every],
    ]
    np.testing.assert_allclose(regret.share, expect, rtol=1e-5)
    found = regret_metrics(regret, np.array([1, 1, 1, 0, 0, 2]))
    assert found["regret"] == pytest.approx(100 * (0.1 + 0 + 0.1 + 0 + 0 + 0.07) / 6, rel=1e-5)
    assert found["regret_exact"] == pytest.approx(4 / 6)
    assert found["regret_best_constant"] == pytest.approx(100 * (0.04 + split) / 6, rel=1e-5)


def test_blocks_without_costs_are_refused() -> None:
    blocks = make_blocks([[1] * 10], [0])
    without = Blocks(**{**vars(blocks), "costs": None})
    with pytest.raises(ToolkitError, match="label --with-costs"):
        class_regret(without, "2")


@pytest.mark.parametrize("stage", list(STAGES))
@pytest.mark.parametrize("kind", ["none", "flips", "dihedral"])
def test_the_costs_of_a_turned_block_are_the_turned_costs(stage: str, kind: str) -> None:
    rd = np.random.default_rng(1).uniform(100, 200, (50, 10))
    regret = class_regret(make_blocks(rd.tolist(), [0] * 50), stage).share
    columns = turned_classes(stage, kind).numpy()
    assert columns.shape == (views(kind), len(STAGES[stage].classes))
    for view in range(views(kind)):
        ids = turned_labels(torch.arange(10), torch.full((10,), view)).numpy()
        turned = np.empty_like(rd)
        turned[:, ids] = rd
        expect = class_regret(make_blocks(turned.tolist(), [0] * 50), stage).share
        np.testing.assert_array_equal(regret[:, columns[view]], expect)
        if stage in ("1", "2"):
            assert (columns[view] == np.arange(len(columns[view]))).all()
    if stage == "3-rect" and kind == "dihedral":
        assert (columns[4:] == [1, 0]).all()


def test_a_choice_between_equal_costs_costs_nothing() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 3, requires_grad=True)
    targets = torch.tensor([0, 1, 2])
    regret = torch.tensor([[0, 0, 0.3], [0.01, 0, 0.3], [0.3, 0.4, 0]])
    loss = make_loss("cost-ce", COUNTS, 0.9999, 2.0, 0.05)
    value = loss_of(loss, logits, targets, regret)
    each = F.cross_entropy(logits, targets, reduction="none")
    assert torch.allclose(value, (0 * each[0] + 0.2 * each[1] + 1 * each[2]) / 3)
    value.backward()
    assert logits.grad is not None
    assert not logits.grad[0].any()
    assert logits.grad[1:].any()


def test_the_focal_loss_by_cost_counts_a_block_for_its_stake() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(3, 3), torch.tensor([0, 1, 2])
    regret = torch.tensor([[0, 0, 0.3], [0.01, 0, 0.3], [0.3, 0.4, 0]])
    focal = make_loss("cb-focal", COUNTS, 0.9999, 2.0, 0.05)
    each = torch.stack([focal(logits[i : i + 1], targets[i : i + 1]) for i in range(3)])
    value = loss_of(make_loss("cost-focal", COUNTS, 0.9999, 2.0, 0.05), logits, targets, regret)
    assert torch.allclose(value, (0.2 * each[0] + (0.2 + 0.8 * 0.2) * each[1] + 1 * each[2]) / 3)


@pytest.mark.numeric
def test_a_run_on_it_with_the_second_task_learns(data: BlockSet, tmp_path: Path) -> None:
    history = run_once(data, tmp_path / "run", loss="cost-focal", auxiliary=1.0, augment="dihedral").history()
    assert history[-1]["val_loss"] < history[0]["val_loss"]
    assert history[-1]["macro_f1"] > 0.5


@pytest.fixture(scope="module")
def data(blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> BlockSet:
    """The synthetic set with costs: the label is the cheapest, by 1 to 10%; some partitions were not tried."""
    plain = BlockSet.load(blockset_8)
    rng = np.random.default_rng(0)
    costs = np.zeros(len(plain.blocks), COST_DTYPE)
    costs["rd"] = 1e6 * rng.uniform(1.01, 1.1, (len(costs), 10))
    costs["rd"][rng.random((len(costs), 10)) < 0.2] = NAN
    decided = np.flatnonzero(plain.blocks["partition"] < 10)
    costs["rd"][decided, plain.blocks["partition"][decided]] = 1e6
    sources = [Source(s["name"], s["split"], s["sha256"], plain.luma(i)) for i, s in enumerate(plain.sources)]
    path = tmp_path_factory.mktemp("costs") / "set"
    write_blockset(path, sources, plain.blocks, 8, plain.manifest["encoder"], costs=costs)
    return BlockSet.load(path)


def run_once(data: BlockSet, path: Path, stage: str = "2", **changes: Any) -> RunFolder:
    run = RunFolder(path)
    options = {"init": "random", "epochs": 3, "batch_size": 32, "lr": 3e-3, "device": "cpu"} | changes
    train(data, run, ModelConfig(stage, "small"), TrainConfig(**options))
    return run


@pytest.mark.numeric
def test_a_run_on_costs_learns(data: BlockSet, tmp_path: Path) -> None:
    run = run_once(data, tmp_path / "run", loss="cost-ce", lr=1e-3, batch_size=16)
    history = run.history()
    assert all(e["regret"] >= 0 and 0 < e["regret_exact"] <= 1 for e in history)
    assert min(e["regret"] for e in history) < history[0]["regret_best_constant"]


@pytest.mark.usefixtures("evaluated_here")
@pytest.mark.numeric
def test_select_chooses_the_least_regret(data: BlockSet, tmp_path: Path) -> None:
    run = run_once(data, tmp_path / "run", loss="cost-ce", epochs=2)
    history = run.history()
    answer = CliRunner().invoke(main, ["select", str(run.path), "--metric", "regret", "--json"])
    least = min(history, key=lambda e: e["regret"])
    found = json.loads(answer.stdout)
    assert found["epoch"] == least["epoch"]
    assert found["regret"] == pytest.approx(least["regret"], abs=0.02)
    assert found["recorded"] == least["regret"]


def test_every_stage_trains_on_turned_costs(data: BlockSet, tmp_path: Path) -> None:
    for stage in ("1", "3-rect", "3-ab"):
        run = run_once(data, tmp_path / stage, stage, loss="cost-ce", augment="dihedral", epochs=1, limit_train=100)
        assert "regret" in run.history()[0]


def test_other_losses_report_the_regret_too(data: BlockSet, tmp_path: Path) -> None:
    run = run_once(data, tmp_path / "run", loss="cross-entropy", epochs=1, limit_train=100)
    assert run.history()[0]["regret"] > 0


def test_a_set_without_costs_is_refused_before_anything_is_written(blockset_8: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = ["--backbone", "small", "--init", "random", "--loss", "cost-ce"]
    answer = CliRunner().invoke(main, ["train", str(blockset_8), "-o", str(run), *options])
    assert answer.exit_code == 1
    assert "label --with-costs" in answer.output
    assert not run.exists()


def test_select_by_regret_needs_a_run_that_has_it(trained: Path) -> None:
    with pytest.raises(ToolkitError, match="label --with-costs"):
        select_epoch(trained, "regret")


def test_a_cap_out_of_range_is_refused() -> None:
    with pytest.raises(ToolkitError, match="regret-cap"):
        TrainConfig(regret_cap=0)


def test_a_network_of_nan_has_no_regret(data: BlockSet) -> None:
    from toolkit.model.network import PartitionNet

    model = PartitionNet(ModelConfig("2", "small"))
    torch.nn.init.constant_(next(model.head.parameters()), torch.nan)
    assert np.isnan(evaluate(model, data.split_blocks("val", "2"))[0]["regret"])
