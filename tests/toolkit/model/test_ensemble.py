"""Ensembles: the mean of probabilities, one checkpoint, one graph, and every reason to refuse one."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from conftest import MakeBlockset
from onnx import numpy_helper

from export.bundle.bundle import Bundle
from export.compare.batches import batch_rows
from export.compare.verdict import judge
from export.graph.contract import Contract
from export.graph.export import export_onnx
from export.graph.runtime import RuntimeModel
from export.proof.bisect import bisect
from export.proof.config import ParityConfig
from export.proof.prove import prepare, prove
from export.proof.selftest import selftest
from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.model.augment import class_orders, turn
from toolkit.model.checkpoint import load_checkpoint, load_torch, save_checkpoint, save_torch
from toolkit.model.config import ModelConfig
from toolkit.model.ensemble import Ensemble
from toolkit.model.ensemble_config import EnsembleConfig
from toolkit.model.network import PartitionNet, predict
from toolkit.partition import STAGES
from toolkit.training.config import TrainConfig
from toolkit.training.ensemble_build import make_ensemble
from toolkit.training.run_folder import RunFolder
from toolkit.training.train import train

SMALL = ModelConfig("2", "small")
QUICK = ParityConfig(limit=40, batches=(1, 7, 64), providers=("cpu",))


@pytest.fixture(scope="module")
def runs(trained: Path, blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two read-only Stage-2 runs of `blockset_8`, of other seeds."""
    second = RunFolder(tmp_path_factory.mktemp("second") / "run")
    options = TrainConfig(init="random", epochs=2, batch_size=32, lr=3e-3, seed=7, device="cpu")
    train(BlockSet.load(blockset_8), second, SMALL, options)
    return [trained, second.path]


def run(*words: object) -> str:
    result = CliRunner().invoke(main, [str(w) for w in words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def bundle(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of both runs in all eight views, made by the commands; `both.pt` and what was printed lie beside it."""
    folder = tmp_path_factory.mktemp("ensemble")
    made = run("ensemble", *runs, "-o", folder / "both.pt", "--views", "dihedral", "--json")
    (folder / "made.json").write_text(made)
    run("export", folder / "both.pt", "-o", folder / "bundle")
    return folder / "bundle"


def ensemble(stage: str, views: str, backbones: Sequence[str] = ("small", "small")) -> Ensemble:
    torch.manual_seed(3)
    return Ensemble(EnsembleConfig.of([ModelConfig(stage, b) for b in backbones], views)).eval()


def some_blocks(count: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 1, 16, 16), np.uint8), rng.integers(0, 256, count, np.uint8)


def log_mean(parts: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(parts).softmax(2).mean(0).log()


@pytest.mark.numeric
def test_it_gives_the_log_of_the_mean_probability() -> None:
    model = ensemble("2", "none")
    luma, qindex = some_blocks()
    members = [predict(member, luma, qindex) for member in model.members]  # type: ignore[arg-type]
    assert torch.allclose(predict(model, luma, qindex), log_mean(members), atol=1e-6)
    assert not torch.allclose(members[0], members[1], atol=1e-3)


@pytest.mark.numeric
def test_stage_1_keeps_its_form() -> None:
    model = ensemble("1", "flips")
    luma, qindex = some_blocks()
    found = predict(model, luma, qindex)
    assert (found[:, 0] == 0).all()
    views = [torch.from_numpy(luma).float() for _ in range(4)]
    q = torch.from_numpy(qindex).float()[:, None]
    with torch.no_grad():
        parts = [member(turn(x, v), q) for member in model.members for v, x in enumerate(views)]
    assert torch.allclose(found.softmax(1), log_mean(parts).exp(), atol=1e-6)


@pytest.mark.numeric
@pytest.mark.parametrize("stage", list(STAGES))
def test_turning_a_block_turns_the_answer(stage: str) -> None:
    model = ensemble(stage, "dihedral", ["small"])
    luma, qindex = some_blocks()
    straight = predict(model, luma, qindex)
    for view, order in enumerate(class_orders(stage, "dihedral")):
        turned = turn(torch.from_numpy(luma), view).contiguous().numpy()
        assert torch.allclose(predict(model, turned, qindex)[:, order], straight, atol=1e-5)
    single = model.members[0]
    assert not torch.allclose(predict(single, turned, qindex)[:, order], predict(single, luma, qindex), atol=1e-4)  # type: ignore[arg-type]


def test_class_orders_are_those_of_the_labels() -> None:
    assert class_orders("3-rect", "dihedral")[4].tolist() == [1, 0]
    assert class_orders("3-ab", "flips").tolist() == [[0, 1, 2, 3], [0, 1, 3, 2], [1, 0, 2, 3], [1, 0, 3, 2]]
    assert all(order == [0, 1, 2] for order in class_orders("2", "dihedral").tolist())


@pytest.mark.numeric
def test_certain_members_stay_finite() -> None:
    model = ensemble("2", "none")
    for member, favoured in zip(model.members, (0, 1), strict=True):
        last = member.get_submodule("head.head")[-1]  # type: ignore[index]
        torch.nn.init.zeros_(last.weight)
        last.bias.data = torch.eye(3)[favoured] * 400
    found = predict(model, *some_blocks())
    expected = torch.tensor([-np.log(2), -np.log(2), -400.0], dtype=torch.float32)
    assert torch.allclose(found, expected.expand_as(found))


def test_the_graph_holds_each_member_once_and_no_shape_node() -> None:
    model = ensemble("3-ab", "dihedral")
    data = export_onnx(model)
    operators = [node.op_type for node in onnx.load_model_from_string(data).graph.node]
    assert operators.count("Conv") == 10
    assert not {"Shape", "Size", "ConstantOfShape"} & set(operators)  # which a GPU session refuses
    found = RuntimeModel(data, Contract.of(model.config)).logits(*some_blocks(7))
    np.testing.assert_allclose(found, predict(model, *some_blocks(7)), atol=1e-5)


def test_end_to_end(bundle: Path, blockset_8: Path, tmp_path: Path) -> None:
    file, made = bundle.with_name("both.pt"), json.loads(bundle.with_name("made.json").read_text())
    assert [m["backbone"] for m in made["members"]] == ["small", "small"]
    scored = json.loads(run("evaluate", file, blockset_8, "--split", "val", "--json"))
    assert scored["overall"]["macro_f1"] == pytest.approx(made["macro_f1"])
    assert made["macro_f1"] > made["baseline_macro_f1"]
    out = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    proven = prove(out, blockset_8, QUICK)  # the command's batch of a whole frame takes half a minute in eight views
    assert proven["passed"]
    assert proven["profiles"]["cpu-fp32"]["ratio"] < 4
    run("bundle", "verify", out)
    card = (out / "MODEL_CARD.md").read_text()
    assert "ensemble of small, small in dihedral views" in card
    assert made["members"][1]["sha256"][:16] in card
    recorded = Bundle.load(out).manifest["provenance"]["members"]
    assert [m["sha256"] for m in recorded] == [m["sha256"] for m in made["members"]]
    run("pipeline", "build", out, "-o", tmp_path / "pipe")
    run("quantize", out, blockset_8, "-o", tmp_path / "int8", "--limit", "40")


def test_a_saved_ensemble_is_the_same_when_loaded(runs: list[Path], blockset_8: Path, tmp_path: Path) -> None:
    data = BlockSet.load(blockset_8)
    made = make_ensemble(runs, tmp_path / "e.pt", data, "dihedral")
    loaded = load_checkpoint(tmp_path / "e.pt")
    assert loaded.config == made.config
    assert loaded.provenance["train_sources"] == sorted(s["sha256"] for s in data.sources if s["split"] == "train")
    assert torch.equal(predict(loaded.model, *some_blocks()), predict(made.model, *some_blocks()))
    # The score is that of the validation split as it is, not one taken over from a member.
    val = data.split_blocks("val", "2")
    right = predict(loaded.model, val.luma, val.qindex).argmax(1).numpy() == val.target
    assert loaded.metrics["accuracy"] == pytest.approx(right.mean())


def test_bisect_names_the_member_and_the_layer(bundle: Path, blockset_8: Path) -> None:
    opened = Bundle.load(bundle)
    blocks = BlockSet.load(blockset_8).split_blocks("test", "2", limit=20)
    proto = onnx.load_model_from_string(opened.model_bytes())
    node = [n for n in proto.graph.node if n.op_type == "Conv"][6]
    tensor = next(t for t in proto.graph.initializer if t.name == node.input[1])
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.01), tensor.name))
    found = bisect(opened.checkpoint().model, proto.SerializeToString(), blocks)["node"]
    assert found["name"] == node.name
    assert found["module"].startswith("members.1.backbone.layers.1")


def test_the_selftest_knows_what_no_view_can_show(
    bundle: Path, blockset_8: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.proof.selftest.MODEL_FAULTS", {})  # two more exports, no other than of any model
    result = selftest(bundle, blockset_8, QUICK)
    assert result["passed"]
    status = {name: fault["status"] for name, fault in result["faults"].items()}
    assert status["input transposed"] == "not-applicable"
    assert status["one kernel 1% too strong"] == status["classes permuted"] == "caught"


@pytest.mark.numeric
def test_a_forgotten_member_is_caught(bundle: Path, blockset_8: Path) -> None:
    proof = prepare(Bundle.load(bundle).checkpoint(), BlockSet.load(blockset_8), QUICK)
    rows = proof.blocks[batch_rows(len(proof.blocks), 64)]
    one, both = (predict(m, rows.luma, rows.qindex).numpy() for m in (proof.model.members[0], proof.model))  # type: ignore[index,arg-type]
    assert judge({64: both}, proof.reference, proof.budget)["status"] == "passed"
    assert judge({64: one}, proof.reference, proof.budget)["status"] == "failed"


def member(path: Path, source: Path, **changes: Any) -> Path:
    """A checkpoint file like the run's best, but for these fields."""
    checkpoint = load_checkpoint(source / "stage2_model_best.pt")
    save_checkpoint(path, replace(checkpoint, **changes))
    return path


def test_members_must_agree(runs: list[Path], blockset_8: Path, make_blockset: MakeBlockset, tmp_path: Path) -> None:
    data = BlockSet.load(blockset_8)

    def refused(match: str, *members: Path, data: BlockSet = data, views: str = "none") -> None:
        with pytest.raises(ToolkitError, match=match):
            make_ensemble(members, tmp_path / "e.pt", data, views)
        assert not (tmp_path / "e.pt").exists()

    one = load_checkpoint(runs[0] / "stage2_model_best.pt")
    for name, config in {
        "stage '3-rect'": ModelConfig("3-rect", "small"),
        "qindex False": ModelConfig("2", "small", qindex=False),
        "bit depth 10": ModelConfig("2", "small", bit_depth=10),
    }.items():
        other = member(tmp_path / "other.pt", runs[0], model=PartitionNet(config).eval())
        refused(f"other.pt has {name}", runs[0], other)
    refused("the very weights of", runs[0], runs[0] / "stage2_model_best.pt")
    refused("at least two", runs[0])
    other = member(tmp_path / "other.pt", runs[1], encoder={**one.encoder, "cpu_used": 3})
    refused(r"other encoder settings .*cpu_used: 1, expected 3", runs[0], other)
    held = [s["sha256"] for s in data.sources if s["split"] == "test"]
    other = member(tmp_path / "other.pt", runs[1], provenance={**one.provenance, "train_sources": held})
    refused(r"other.pt was trained on test-5 \(test\), test-6 \(test\)", runs[0], other)
    other = member(tmp_path / "other.pt", runs[1], provenance={"init": {"trained_on": held}})
    refused("which .* holds back", runs[0], other)
    other = member(tmp_path / "other.pt", runs[1], metrics={**one.metrics, "macro_f1": 0.99})
    refused("0.9900 as recorded", runs[0], other)
    refused("10-bit luma", *runs, data=BlockSet.load(make_blockset(tmp_path / "ten", bit_depth=10)))
    # The originals under another split: what one trained on, the data now hold back.
    refused("trained on", *runs, data=BlockSet.load(make_blockset(tmp_path / "moved", splits={"val": 2, "train": 2})))
    make_ensemble(runs, tmp_path / "first.pt", data)
    refused("is an ensemble already", tmp_path / "first.pt", views="flips")


def test_files_need_data_and_one_run_needs_views(runs: list[Path], blockset_8: Path, tmp_path: Path) -> None:
    files = [member(tmp_path / f"{i}.pt", run) for i, run in enumerate(runs)]
    words = ["ensemble", *map(str, files), "-o", str(tmp_path / "e.pt")]
    without = CliRunner().invoke(main, words)
    assert without.exit_code == 1
    assert "--data" in without.output
    assert CliRunner().invoke(main, [*words, "--data", str(blockset_8)]).exit_code == 0
    again = CliRunner().invoke(main, [*words, "--data", str(blockset_8)])
    assert again.exit_code == 1
    assert "exists already" in again.output
    one = ["ensemble", str(runs[0]), "-o", str(tmp_path / "views.pt"), "--views", "dihedral"]
    assert CliRunner().invoke(main, one).exit_code == 0
    assert len(load_checkpoint(tmp_path / "views.pt").config.members) == 1  # type: ignore[attr-defined]


def test_a_damaged_ensemble_is_refused(runs: list[Path], blockset_8: Path, tmp_path: Path) -> None:
    file = tmp_path / "e.pt"
    make_ensemble(runs, file, BlockSet.load(blockset_8))
    whole = load_torch(file)
    members = whole["config"]["members"]
    for config, match in (
        ({"members": members, "views": "all"}, "Views 'all'"),
        ({"members": members[:1], "views": "none"}, "at least two"),
        ({"members": members, "views": "none", "weights": [1, 2]}, "expected a list of members"),
        ({"members": [members[0], {**members[1], "new": 1}], "views": "none"}, "unknown to this av1part"),
        ({"members": [*members, members[0]], "views": "none"}, "Missing: .'members.2"),
    ):
        save_torch(file, {**whole, "config": config})
        with pytest.raises(ToolkitError, match=match):
            load_checkpoint(file)


def test_an_ensemble_is_no_first_weights_for_training(runs: list[Path], blockset_8: Path, tmp_path: Path) -> None:
    file = tmp_path / "e.pt"
    make_ensemble(runs, file, BlockSet.load(blockset_8))
    options = TrainConfig(init="stage1", epochs=1, device="cpu")
    with pytest.raises(ToolkitError, match="checkpoint of stage 2"):
        train(BlockSet.load(blockset_8), RunFolder(tmp_path / "run"), SMALL, options, start=file)
