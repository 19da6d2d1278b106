"""Backbones become bundles that pass their proof on the CPU: random weights, but nothing degenerate in them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MakeBlockset
from torch import nn

from export.bundle.bundle import Bundle
from export.bundle.write import Chosen, write_bundle
from export.compare.budget import set_budget
from export.compare.config import FRAME, LIMIT
from export.compare.flops import LEAST, affordable, affordable_batches, operations, thinned
from export.compare.verdict import Budget, compare
from export.proof.bundle_faults import MODEL_FAULTS, planted
from export.proof.config import ParityConfig
from export.proof.prove import prove, within_means
from toolkit.data.blockset import Blocks, BlockSet
from toolkit.metrics import baselines
from toolkit.model.checkpoint import Checkpoint, save_checkpoint
from toolkit.model.config import BACKBONES, ModelConfig
from toolkit.model.network import PartitionNet, predict
from toolkit.training.schedule import recalibrate
from toolkit.training.selection import evaluate

BLOCKS, BATCHES = 64, (1, 7, 64)
FEW = {"vit_b_16": (4, (1, 3))}
"""Blocks and batch sizes of a backbone that takes about a second for one block and its float64 reference."""


def lively(backbone: str, blocks: Blocks) -> PartitionNet:
    """Random weights in which no layer is the identity: a wrong fold of any of them changes the logits.

    Fresh batch-norm scales by 1 and shifts by 0, fresh layer-norm too, and a fresh class token is 0. `blocks`, of which
    batch-norm's statistics are, have to be many: those of 32 let other blocks grow from layer to layer, in
    EfficientNet-B0 to where PyTorch's own float32 is off by 1.5.
    """
    torch.manual_seed(11)
    model = PartitionNet(ModelConfig("2", backbone, node=blocks.node))
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm | nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    recalibrate(model, torch.from_numpy(blocks.luma))
    return model.eval()


def checkpoint_of(model: PartitionNet, data: BlockSet, count: int) -> Checkpoint:
    val = data.split_blocks("val", model.config.stage, count)
    return Checkpoint(
        model=model,
        epoch=1,
        metrics=evaluate(model, val)[1],
        baselines=baselines(val.target, val.target, model.config.classes),
        data_sha256=data.sha256,
        encoder=data.manifest["encoder"],
        calibration=val,
        provenance={"train_sources": [s["sha256"] for s in data.sources if s["split"] == "train"]},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Removed at once: pytest keeps its own for three runs, and a ResNet-50's bundle has 190 MB."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize(
    ("backbone", "node"),
    [
        *(("small", node) for node in (8, 16, 32, 64)),
        ("resnet18-se", 16),
        *(
            pytest.param(backbone, node, marks=pytest.mark.long)
            for backbone, node in [
                *((b, 16) for b in BACKBONES if b not in ("small", "resnet18-se")),
                ("resnet18-se", 32),
            ]
        ),
    ],
)
def test_it_exports_and_is_proven(
    backbone: str, node: int, blockset_8: Path, make_blockset: MakeBlockset, folder: Path
) -> None:
    path = blockset_8 if node == 16 else make_blockset(folder / "data", size=(7 * node, 8 * node + 5), node=node)
    data = BlockSet.load(path)
    count, batches = FEW.get(backbone, (BLOCKS, BATCHES))
    model = lively(backbone, data.split_blocks("train", "2"))
    checkpoint = checkpoint_of(model, data, count)
    check_not_degenerate(model, checkpoint.calibration)
    save_checkpoint(folder / "random.pt", checkpoint)
    write_bundle(Chosen(folder / "random.pt", "the file given"), folder / "bundle", allow_weak=True)
    config = ParityConfig(limit=count, batches=batches, providers=("cpu",))
    result = prove(folder / "bundle", path, config)["profiles"]["cpu-fp32"]
    assert result["status"] == "passed", result["reason"]
    assert result["flips"] == 0
    assert Bundle.load(folder / "bundle").proven("cpu")


def check_not_degenerate(model: PartitionNet, blocks: Blocks) -> None:
    """The blocks' logits differ far beyond the budget, and so would a wrong fold of the batch-norms."""
    budget, exact = set_budget(model, blocks)
    assert (exact.std(0) > 100 * budget.max).all()
    if any(isinstance(m, nn.BatchNorm2d) for m in model.modules()):
        wrong = planted(model, blocks, MODEL_FAULTS["another batch-norm epsilon"])
        assert compare(predict(wrong, blocks.luma, blocks.qindex).numpy(), exact, budget)["reasons"]


def test_a_large_model_is_spared_what_it_cannot_afford(blockset_8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = BlockSet.load(blockset_8)
    blocks = data.split_blocks("val", "2", 60)
    sizes = (1, 64, 1000, FRAME)
    small = PartitionNet(ModelConfig("2", "small")).eval()
    assert affordable(small, blocks) == LIMIT
    assert affordable_batches(small, blocks, sizes) == sizes
    with torch.device("meta"):  # 86 million weights, of which only the shapes count
        vit = PartitionNet(ModelConfig("2", "vit_b_16")).eval()
    monkeypatch.setattr(
        "export.compare.flops.to_input", lambda *v, **o: (torch.empty(1, 1, 16, 16, device="meta"),) * 2
    )
    monkeypatch.setattr(vit, "head_input", lambda features, qindex: features)
    monkeypatch.setattr(vit.head, "forward", lambda features: features)
    assert operations(vit, blocks) > 3e10  # 17.5 billion multiplications and additions
    assert affordable(vit, blocks) == LEAST
    assert affordable_batches(vit, blocks, sizes) == (1, 64)
    checkpoint: Any = Checkpoint(vit, 1, {}, {}, "", {}, blocks)
    config, calibration = within_means(checkpoint, ParityConfig())
    assert (config.limit, len(calibration), config.batches) == (LEAST, LEAST, (1, 2, 3, 7, 64))
    assert within_means(checkpoint, ParityConfig(limit=50))[0].limit == 50
    assert np.array_equal(thinned(blocks, 2).qindex, blocks.qindex[[0, -1]])
    assert isinstance(set_budget(small, calibration)[0], Budget)
