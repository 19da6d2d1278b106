"""A Stage 2 that is asked inside the search: trained, exported and proven with its features, and never without them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.commands import cli, done, fails
from support.inside import NONE, SPLIT, TABLE, features_of, write_with

from export.bundle.bundle import Bundle
from export.bundle.write import Chosen, write_bundle
from export.graph.contract import Contract
from export.proof.bundle_faults import INSIDE_BUNDLE_FAULTS
from export.proof.config import ForeignConfig, ParityConfig
from export.proof.foreign import ForeignModel
from export.proof.graph_faults import INSIDE_FAULTS
from export.proof.prove import prove
from export.proof.selftest import selftest
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.experiments.evaluate import evaluate_on
from toolkit.model.checkpoint import load_checkpoint, save_checkpoint
from toolkit.model.config import ModelConfig
from toolkit.model.ensemble_config import EnsembleConfig
from toolkit.model.network import PartitionNet, predict
from toolkit.training.config import TrainConfig
from toolkit.training.data import never_asked
from toolkit.training.run_folder import RunFolder, open_checkpoint
from toolkit.training.train import train

FAST = TrainConfig(init="random", epochs=2, batch_size=32, lr=3e-3, device="cpu", augment="dihedral")
PARITY = ParityConfig(batches=(1, 64), limit=100)


@pytest.fixture(scope="module")
def searched(data: BlockSet, tmp_path_factory: pytest.TempPathFactory) -> BlockSet:
    return BlockSet.load(write_with(tmp_path_factory.mktemp("searched") / "data", data, features_of(data)))


@pytest.fixture(scope="module")
def run(searched: BlockSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is asked after SPLIT; by the sixth feature it tells SPLIT from the rest."""
    folder = RunFolder(tmp_path_factory.mktemp("run") / "run")
    train(searched, folder, ModelConfig("2", "small", inside=searched.inside("split", "2")), FAST)
    return folder.path


@pytest.fixture(scope="module")
def bundle(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(Chosen(RunFolder(run).epoch_path(2), "a test"), tmp_path_factory.mktemp("b") / "b").path


@pytest.mark.numeric
def test_the_network_learns_from_the_features(run: Path, searched: BlockSet) -> None:
    checkpoint = open_checkpoint(run, 2)
    inside = checkpoint.config.inside
    assert inside == searched.inside("split", "2")
    found = evaluate_on(checkpoint, searched, "test")
    assert found["overall"]["per_class"]["SPLIT"]["f1"] > 0.9
    blocks = searched.split_blocks("test", "2", inside=inside)
    assert found["blocks"] == len(blocks)
    assert any("are left out: the search did not come to the point after SPLIT" in note for note in found["notes"])
    straight = predict(checkpoint.model, *blocks.inputs)
    assert blocks.search is not None
    other = blocks.search.copy()
    other[:, 5] = 2.5 - other[:, 5]
    changed = predict(checkpoint.model, blocks.luma, blocks.qindex, other)
    assert not torch.equal(straight.argmax(1), changed.argmax(1))


def test_features_are_normalised_by_the_contract_s_statistics(searched: BlockSet) -> None:
    model = PartitionNet(ModelConfig("2", "small", inside=searched.inside("none", "2"))).eval()
    assert not [name for name in model.state_dict() if "mean" in name.split(".") or "std" in name.split(".")]
    inside = model.config.inside
    assert inside is not None
    assert model.search is not None
    rows = torch.tensor([inside.mean])
    np.testing.assert_allclose(model.search(rows).detach(), model.search.layer.bias.relu().detach()[None], atol=1e-6)


def test_a_model_is_never_asked_without_its_features_nor_a_plain_one_with_any(run: Path, searched: BlockSet) -> None:
    checkpoint = open_checkpoint(run, 2)
    blocks = searched.split_blocks("val", "2", 8, inside=checkpoint.config.inside)
    assert blocks.search is not None
    plain = PartitionNet(ModelConfig("2", "small")).eval()
    with pytest.raises(ToolkitError, match="no features of the search"):
        predict(checkpoint.model, blocks.luma, blocks.qindex)
    with pytest.raises(ToolkitError, match=r"expected float32\(8, 6\)"):
        predict(checkpoint.model, blocks.luma, blocks.qindex, blocks.search[:, :NONE].copy())
    with pytest.raises(ToolkitError, match="luma and qindex alone"):
        predict(plain, *blocks.inputs)
    x, q = torch.zeros(2, 1, 16, 16), torch.zeros(2, 1)
    for network, known in ((checkpoint.model, None), (plain, torch.zeros(2, SPLIT))):
        with pytest.raises(ToolkitError, match="Model input"):
            network(x, q, known)


def test_a_checkpoint_carries_its_blocks_features(run: Path, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(run, 2)
    search = checkpoint.calibration.search
    assert search is not None
    assert search.shape == (len(checkpoint.calibration), SPLIT)
    for wrong, said in ((None, "no features of the search"), (search[:, :NONE].copy(), "expected float32")):
        path = tmp_path / "wrong.pt"
        save_checkpoint(path, replace(checkpoint, calibration=replace(checkpoint.calibration, search=wrong)))
        with pytest.raises(ToolkitError, match=said):
            load_checkpoint(path)


def test_the_graph_takes_the_features_and_is_proven(bundle: Path, searched: BlockSet, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "b"))
    opened = Bundle.load(copy)
    assert opened.contract.inputs()["search"] == ["batch", SPLIT]
    inside = opened.contract.inside
    assert inside is not None
    assert opened.manifest["contract"]["inside"] == inside.to_dict()
    result = prove(copy, searched.path, PARITY)
    assert result["passed"], result
    assert result["profiles"]["cpu-fp32"]["flips"] == 0
    assert Bundle.load(copy).proven("cpu")
    blocks = searched.split_blocks("test", "2", 8, inside=inside)
    session = opened.session()
    found = session.logits(*blocks.inputs)
    np.testing.assert_allclose(found, predict(opened.checkpoint().model, *blocks.inputs), atol=1e-4)
    with pytest.raises(ToolkitError, match="no features of the search"):
        session.logits(blocks.luma, blocks.qindex)
    fails(cli("pipeline", "build", copy, "-o", tmp_path / "pipe"), "asked inside the search", "before the search")
    with pytest.raises(ToolkitError, match="graph of other making"):
        ForeignModel(copy / "model.onnx", opened.contract, ForeignConfig())


def test_planted_faults_are_caught(bundle: Path, searched: BlockSet) -> None:
    result = selftest(bundle, searched.path, PARITY)
    own = {name: result["faults"][name] for name in (*INSIDE_FAULTS, *INSIDE_BUNDLE_FAULTS)}
    assert {fault["status"] for fault in own.values()} == {"caught"}, own
    assert result["passed"], result["faults"]


def test_data_without_the_features_or_of_another_table_prove_nothing(
    bundle: Path, run: Path, data: BlockSet, tmp_path: Path
) -> None:
    with pytest.raises(ToolkitError, match="holds no features of the search"):
        prove(bundle, data.path, PARITY)
    with pytest.raises(ToolkitError, match="holds no features of the search"):
        evaluate_on(open_checkpoint(run, 2), data, "test")
    renamed = replace(TABLE, table="ffffffff")
    other = write_with(tmp_path / "other", data, features_of(data), renamed)  # type: ignore[arg-type]
    with pytest.raises(ToolkitError, match="features of table ffffffff"):
        prove(bundle, other, PARITY)


def test_a_contract_names_point_table_and_statistics(bundle: Path) -> None:
    contract = Bundle.load(bundle).contract
    values = contract.to_dict()
    assert Contract.from_dict(values, "it") == contract
    plain = Contract("2", 8, True)
    assert "inside" not in plain.to_dict(), "what other bundles hold stays as it was"
    with pytest.raises(ToolkitError, match="inputs is"):
        Contract.from_dict({k: v for k, v in values.items() if k != "inside"}, "it")
    with pytest.raises(ToolkitError, match="inside"):
        Contract.from_dict(plain.to_dict() | {"inside": None}, "it")


def test_what_cannot_be_asked_inside_the_search_is_refused(searched: BlockSet, tmp_path: Path) -> None:
    inside = searched.inside("none", "2")
    with pytest.raises(ToolkitError, match="only Stage 2"):
        ModelConfig("1", "small", inside=inside)
    config = ModelConfig("2", "small", inside=inside)
    with pytest.raises(ToolkitError, match="cannot be turned"):
        train(searched, RunFolder(tmp_path / "run"), config, replace(FAST, auxiliary=1.0))
    assert not (tmp_path / "run").exists()
    with pytest.raises(ToolkitError, match="--views none"):
        EnsembleConfig.of([config], "flips")
    with pytest.raises(ToolkitError, match="Average models"):
        EnsembleConfig.of([config, ModelConfig("2", "small")])
    assert never_asked(searched, "val", ModelConfig("2", "small")) == ""


def test_it_starts_from_stage_1_and_goes_on_where_it_stopped(searched: BlockSet, tmp_path: Path) -> None:
    quick = ["--backbone", "small", "--epochs", 2, "--freeze-epochs", 1, "--limit-train", 200, "--batch-size", 64]
    done("train", searched.path, "-o", tmp_path / "s1", "--stage", 1, "--init", "random", *quick, "--epochs", 1)
    s2 = ["train", searched.path, "-o", tmp_path / "s2", "--inside", "none"]
    said = done(*s2, "--init", "stage1", "--from", tmp_path / "s1", *quick)
    assert "of the train split are left out" in " ".join(said.stderr.split())
    checkpoint = open_checkpoint(tmp_path / "s2", 2)
    assert checkpoint.config.inside == searched.inside("none", "2")
    assert checkpoint.provenance["init"]["kind"] == "stage1"
    fails(cli(*s2[:-1], "split", "--resume"), "inside: split now, none then")
    done(*s2, "--resume", "--extend", 1, "--extend-lr", 1e-4)
    assert open_checkpoint(tmp_path / "s2", 3).epoch == 3
