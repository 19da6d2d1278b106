"""The second task: which nodes it takes, what a step minimises, and that nothing of it is left in a model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from support.blocks import make_blocks
from support.training import FAST, measured, moved, weights

from toolkit.cli.main import main
from toolkit.data.blockset import Blocks, BlockSet
from toolkit.data.costs import class_regret
from toolkit.errors import ToolkitError
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet
from toolkit.partition import INSIDE_LARGER, STAGES
from toolkit.training.config import TrainConfig
from toolkit.training.data import plan_epoch, training_blocks
from toolkit.training.losses import Objective, WithPartition, loss_of
from toolkit.training.run_folder import RunFolder
from toolkit.training.train import train

MODEL = ModelConfig("2", "small")


def blocks_of(data: BlockSet, **options: Any) -> tuple[Blocks, TrainConfig]:
    config = TrainConfig(**options)
    return training_blocks(data, MODEL, config), config


def test_all_decided_nodes_are_taken_and_the_stages_own_stay_the_same(data: BlockSet) -> None:
    alone, _ = blocks_of(data)
    joint, _ = blocks_of(data, auxiliary=1.0)
    own = joint.target >= 0
    assert np.array_equal(joint.luma[own], alone.luma)
    assert np.array_equal(joint.target[own], alone.target)
    assert len(joint) == len(data.split_index("train"))
    assert set(joint.partition[~own].tolist()) == {0, 8, 9}  # NONE and the 4-way ones are no class of Stage 2
    assert INSIDE_LARGER not in joint.partition
    limited, _ = blocks_of(data, auxiliary=1.0, limit_train=200)
    own_limited = limited.target >= 0
    assert np.array_equal(limited.luma[own_limited], data.split_blocks("train", "2", 200, 42).luma)
    share = 200 / len(alone)
    assert (~own_limited).sum() == pytest.approx(share * (~own).sum(), abs=1)


@pytest.mark.numeric
@pytest.mark.parametrize("loss", ["cb-focal", "cross-entropy"])
def test_a_step_minimises_both_losses_over_the_batch_however_it_is_shared(data: BlockSet, loss: str) -> None:
    blocks, config = blocks_of(data, auxiliary=0.7, loss=loss, batch_size=32, augment="dihedral")
    objective = Objective(blocks, "DATA", MODEL, config, lambda x: x)
    plan = plan_epoch(config, "2", torch.from_numpy(blocks.partition).long(), torch.Generator().manual_seed(1), 1)
    logits, named = torch.randn(len(blocks), 3), torch.randn(len(blocks), 10)
    begin, end = plan.batches[3]
    own = torch.arange(begin, end)[plan.target[begin:end] >= 0]
    expected = loss_of(objective.own, logits[own], plan.target[own], None)
    expected = expected + 0.7 * F.cross_entropy(named[begin:end], plan.partition[begin:end])
    for processes in (1, 2, 3, end - begin):  # the last: one block each, so that some have none of the stage's own
        parts = []
        for rank in range(processes):
            mine = slice(begin + rank, end, processes)
            parts.append(objective((logits[mine], named[mine]), plan, begin, end, rank, processes))
        assert torch.stack(parts).mean() == pytest.approx(float(expected), rel=1e-5), processes
    assert any((plan.target[begin + rank] < 0) for rank in range(end - begin))


def test_costs_are_asked_for_of_the_stages_own_blocks_alone() -> None:
    rd = np.random.default_rng(2).uniform(100, 200, (20, 10))
    blocks = make_blocks(rd.tolist(), [0, 1, 3, 4, 8] * 4)
    joint = Blocks(**{**vars(blocks), "target": STAGES["2"].targets(blocks.partition)})
    own = joint.target >= 0
    objective = Objective(joint, "DATA", MODEL, TrainConfig(loss="cost-ce", auxiliary=1.0), lambda x: x)
    assert objective.regret is not None
    assert np.array_equal(objective.regret[own].numpy(), class_regret(joint[own], "2").share)


def test_the_second_task_sees_what_the_last_layer_sees(data: BlockSet) -> None:
    model = PartitionNet(MODEL).eval()
    joint, blocks = WithPartition(model), data.split_blocks("val", "2", 5)
    luma, qindex = torch.from_numpy(blocks.luma).float(), torch.from_numpy(blocks.qindex).float()[:, None]
    logits, named = joint(luma, qindex)
    assert torch.equal(logits, model(luma, qindex))
    assert named.shape == (5, 10)
    named.sum().backward()
    assert all(p.grad is not None for p in model.backbone.parameters())


def test_it_is_left_out_of_the_model_and_resumed(data: BlockSet, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(what: str, done: int, total: int) -> None:
        if what.startswith("epoch 3/"):
            raise Killed

    config = TrainConfig(**FAST | {"auxiliary": 1.0, "limit_train": 300})
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    train(data, whole, MODEL, config)
    with pytest.raises(Killed):
        train(data, cut, MODEL, config, on_step=kill)
    train(data, cut, MODEL, config, resume=True)
    assert moved(weights(whole, 3), weights(cut, 3)) == set()
    assert measured(whole) == measured(cut)
    assert set(weights(whole, 3)) == set(PartitionNet(MODEL).state_dict())
    without = RunFolder(tmp_path / "without")
    train(data, without, MODEL, TrainConfig(**FAST | {"limit_train": 300}))
    assert moved(weights(whole, 3), weights(without, 3))  # it does teach the network something
    assert (whole.read()["blocks"]["train"], without.read()["blocks"]["others"]) == (300, 0)
    assert whole.read()["blocks"]["others"] > 0
    assert whole.read()["baselines"] == without.read()["baselines"]


@pytest.mark.numeric
def test_a_frozen_phase_from_the_cache_has_it_too(data: BlockSet, tmp_path: Path) -> None:
    first = RunFolder(tmp_path / "stage1")
    train(data, first, ModelConfig("1", "small"), TrainConfig(**FAST | {"epochs": 1, "auxiliary": 1.0}))
    options = {"init": "stage1", "epochs": 4, "freeze_epochs": 4, "augment": "none", "auxiliary": 1.0}
    run = RunFolder(tmp_path / "run")
    history = train(data, run, MODEL, TrainConfig(**FAST | options), start=first.path)
    assert [e["phase"] for e in history] == ["frozen"] * 4
    assert history[-1]["loss"] < history[0]["loss"]


@pytest.mark.parametrize("weight", ["-1", "nan", "inf"])
def test_a_weight_that_is_none_is_refused(data: BlockSet, tmp_path: Path, weight: str) -> None:
    words = ["train", str(data.path), "-o", str(tmp_path / "run"), "--init", "random", "--auxiliary", weight]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "expected a weight of 0 (no second task) or more" in result.output
    assert not (tmp_path / "run").exists()


def test_a_balanced_sampler_is_refused_beside_it() -> None:
    with pytest.raises(ToolkitError, match=r"belong to none\. Leave one of them away"):
        TrainConfig(auxiliary=1.0, sampler="balanced")
