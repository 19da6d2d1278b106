"""Models of nodes of other sizes: from labels to masks, alone and beside others, and loud where sizes are mixed up."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MakeBlockset
from PIL import Image
from support.commands import cli, done, fails
from support.pictures import CHELSEA
from support.sealed import write_json

from export.bundle.bundle import Bundle
from export.graph.contract import Contract
from integration.codec.encoder import Encoder, EncoderConfig
from integration.media.video import open_clip
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.pipeline_set import PipelineSet
from integration.pipeline.policy import Policy, bits
from integration.pipeline.stages import Cascade
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import seal
from toolkit.model.checkpoint import load_checkpoint, save_checkpoint
from toolkit.model.config import BACKBONES, ModelConfig
from toolkit.model.network import PartitionNet
from toolkit.partition import NONE, SPLIT
from toolkit.windows import Window

pytestmark = pytest.mark.usefixtures("evaluated_here")
SMALL = ("--backbone", "small", "--init", "random", "--lr", "3e-3", "--batch-size", 32, "--device", "cpu")
POLICY = ("--policy", "split_only_above=0.4", "--policy", "drop_split_below=0", "--policy", "drop_ab_below=0.9")


@pytest.fixture(scope="module")
def large(make_blockset: MakeBlockset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data` of 32x32 nodes, and the small network's `run`, proven `bundle` and `pipe` for them."""
    root = tmp_path_factory.mktemp("large")
    make_blockset(root / "data", size=(224, 272), node=32)
    done("train", root / "data", "-o", root / "run", *SMALL, "--epochs", 4)
    done("export", root / "run", "-o", root / "bundle")
    done("parity", root / "bundle", root / "data", "--provider", "cpu")
    built = done("pipeline", "build", root / "bundle", "-o", root / "pipe", *POLICY)
    assert "stages 2 of 32x32 nodes" in built.output
    assert "small, 32x32 node, context 0, 8 bit" in done("bundle", "info", root / "bundle").output
    return root


@pytest.fixture(scope="module")
def usual(exported: Path, blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline for 16x16 nodes."""
    pipe = tmp_path_factory.mktemp("usual") / "pipe"
    done("pipeline", "build", exported, "-o", pipe, "--allow-unproven", *POLICY)
    return pipe


@pytest.mark.numeric
def test_from_labels_to_masks(large: Path) -> None:
    data, bundle = BlockSet.load(large / "data"), Bundle.load(large / "bundle")
    assert (data.node, data.split_blocks("train").luma.shape[1:]) == (32, (1, 32, 32))
    assert json.loads((large / "run" / "run.json").read_text())["model"]["node"] == 32
    assert bundle.contract.window == Window(32)
    assert bundle.checkpoint().calibration.window == Window(32)
    assert "for a 32x32 luma node" in (large / "bundle" / "MODEL_CARD.md").read_text()
    pipeline = Pipeline.load(large / "pipe")
    source, luma = 6, data.luma(6)[0]
    assert luma.shape == (224, 272)
    mask = pipeline.mask(luma, 60)
    assert mask.shape == (7, 9)
    assert (mask[:, 8] == 0).all()  # cut by the edge
    at = np.flatnonzero((data.blocks["source"] == source) & (data.blocks["frame"] == 0) & (data.blocks["qindex"] == 60))
    sure = pipeline.cascade.probabilities("2", data.take(at).luma, np.full(len(at), 60, np.uint8))[:, 0] > 0.4
    rows = data.blocks[at]
    found = mask[rows["row"] // 32, rows["column"] // 32]
    assert 0 < sure.sum() < len(sure)
    assert np.array_equal(found == bits(NONE, SPLIT), sure)
    done("pipeline", "eval", large / "pipe", large / "data")
    done("evaluate", large / "run", large / "data")
    assert "32x32 pixels" in done("data", "info", large / "data").output
    done("data", "info", large / "data", "--preview", large / "preview.png")


def test_models_and_data_of_different_nodes_are_refused(
    large: Path, blockset_8: Path, exported: Path, usual: Path, tmp_path: Path
) -> None:
    other = ("labels of 16x16 nodes, asked for as windows of a 32x32 node", "--node")
    fails(cli("evaluate", large / "run", blockset_8), *other)
    fails(cli("parity", large / "bundle", blockset_8, "--provider", "cpu"), *other)
    fails(cli("pipeline", "eval", large / "pipe", blockset_8), *other)
    fails(cli("parity", exported, large / "data", "--provider", "cpu"), "labels of 32x32 nodes", "a 16x16 node")
    words = ("--node", 16, "--context", 8)
    assert cli("train", large / "data", "-o", tmp_path / "run", *words).exit_code == 2  # the data set's, not an option
    fails(
        cli("pipeline", "build", large / "bundle", exported, "-o", tmp_path / "pipe", "--allow-unproven"),
        "are both of stage 2",
    )
    options = ("--backbone", "small", "--init", "stage1", "--device", "cpu")
    done("train", blockset_8, "-o", tmp_path / "one", "--stage", 1, *SMALL, "--epochs", 1, "--limit-train", 64)
    fails(
        cli("train", large / "data", "-o", tmp_path / "two", *options, "--from", tmp_path / "one"),
        "node is 16, this model's is 32",
    )
    sixteen, thirty_two = Pipeline.load(usual), Pipeline.load(large / "pipe")
    models = {"1": sixteen.cascade.models["2"], "2": thirty_two.cascade.models["2"]}
    with pytest.raises(ToolkitError, match="Stage 1 16x16, Stage 2 32x32 nodes"):
        Cascade(models)


def test_a_contract_tells_a_large_node_from_a_small_one_with_context() -> None:
    alone, around = (Contract("2", 8, True, window) for window in (Window(32), Window(16, 8)))
    assert alone.inputs() == around.inputs()
    assert alone.to_dict() != around.to_dict()
    assert alone.metadata() != around.metadata()
    assert Contract.from_dict(alone.to_dict(), "x") == alone
    assert Contract.from_dict(around.to_dict(), "x") == around
    with pytest.raises(ToolkitError, match="Node 24: expected one of 8, 16, 32, 64, 128"):
        Contract.from_dict(alone.to_dict() | {"window": {"height": 24, "width": 24, "row": 0, "column": 0}}, "x")


@pytest.mark.parametrize("node", [8, 32, 64, 128])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_takes_nodes_of_every_size(backbone: str, node: int) -> None:
    if backbone == "vit_b_16":  # as a config; 86 million weights are not needed to see its size fit
        assert ModelConfig("2", backbone, node=node).window.size == node
        return
    model = PartitionNet(ModelConfig("2", backbone, node=node)).eval()
    assert model.features(torch.zeros(2, 1, node, node)).shape == (2, model.features_out)
    assert len(model.config.classes) == (2 if node == 8 else 3)
    if backbone == "small":
        assert sum(p.numel() for p in model.parameters()) < 250_000


def test_8x8_nodes_have_no_third_stage_for_ab() -> None:
    assert Contract("2", 8, True, Window(8)).outputs() == {"logits": ["batch", 2]}
    assert [c["name"] for c in Contract("2", 8, True, Window(8)).to_dict()["classes"]] == ["SPLIT", "RECT"]
    for refused in (lambda: ModelConfig("3-ab", "small", node=8), lambda: Contract("3-ab", 8, True, Window(8))):
        with pytest.raises(ToolkitError, match="8x8 nodes have no such choice"):
            refused()


def test_a_data_set_says_its_node_size(large: Path, tmp_path: Path) -> None:
    manifest = json.loads((large / "data" / "manifest.json").read_text())
    for name in ("blocks.npy", "luma"):
        (tmp_path / name).symlink_to(large / "data" / name)
    del manifest["sha256"]
    write_json(tmp_path / "manifest.json", seal(manifest | {"block_size": 48}))
    with pytest.raises(ToolkitError, match="block size 48, expected one of 8, 16, 32"):
        BlockSet.load(tmp_path)


class Answers:
    """A pipeline in name: the mask that it was given, and what it was asked about."""

    def __init__(self, node: int, mask: np.ndarray, bit_depth: int = 8, cpu_used: int = 1) -> None:
        self.node, self.given, self.bit_depth = node, mask.astype(np.uint16), bit_depth
        self.encoder, self.path = {"cpu_used": cpu_used}, Path(f"p{node}")
        self.pruner = None


class Remembers:
    """A stage's model that is sure of its first class where the first sample is 0, and remembers all first samples."""

    def __init__(self, node: int, classes: int) -> None:
        self.window, self.classes, self.seen = Window(node), classes, set[int]()

    def logits(self, luma: np.ndarray, qindex: np.ndarray) -> np.ndarray:
        first = luma[:, 0, 0, 0]
        self.seen |= set(first.tolist())
        return np.outer(first == 0, [9] + [0] * (self.classes - 1)).astype(np.float32)


@pytest.mark.usefixtures("libaom")
def test_small_nodes_are_asked_about_where_the_large_ones_may_be_split() -> None:
    luma = np.kron(np.arange(35, dtype=np.uint8).reshape(5, 7), np.ones((16, 16), np.uint8))[:70, :100]
    split, whole, small = Remembers(32, 3), Remembers(32, 2), Remembers(16, 3)
    cascades = Cascade({"2": small}), Cascade({"1": whole, "2": split})
    policy = Policy.of(split_only_above=0.5)
    members = [Pipeline(Path("p"), {"bit_depth": 8, "encoder": {}}, {}, own, policy) for own in cascades]
    masks = PipelineSet(members).mask(luma, 60)
    assert list(masks) == [32, 16]
    assert masks[32][0, 0] == bits(NONE), "the first large node is not split"
    assert whole.seen == {0, 2, 4, 14, 16, 18}, "whole nodes alone"
    assert small.seen == {r * 7 + c for r in range(4) for c in range(6)} - {0, 1, 7, 8}
    assert not masks[16][:2, :2].any()


def test_pipelines_that_do_not_go_together() -> None:
    mask = np.zeros((1, 1))
    for other, expected in (
        (Answers(16, mask), "p16 16x16, p16 16x16: expected at most one for each size"),
        (Answers(32, mask, bit_depth=10), "takes 10 bit"),
        (Answers(32, mask, cpu_used=2), "different encoder settings"),
    ):
        with pytest.raises(ToolkitError, match=expected):
            PipelineSet([Answers(16, mask), other])  # type: ignore[list-item]
    with pytest.raises(ToolkitError, match="No pipeline given"):
        PipelineSet([])


@pytest.mark.usefixtures("libaom")
def test_labels_are_the_encoder_s(tmp_path: Path) -> None:
    picture = tmp_path / "cat.png"
    with Image.open(CHELSEA) as image:
        image.crop((40, 40, 40 + 134, 40 + 100)).save(picture)
    words = ("--node", 32, "--cq", "30", "--cpu-used", 3, "--split", "train", "--with-costs")
    done("label", picture, "-o", tmp_path / "set", *words)
    data = BlockSet.load(tmp_path / "set")
    height, width = data.luma(0).shape[1:]
    assert (data.node, len(data.blocks)) == (32, (height // 32) * (width // 32))
    with Encoder(EncoderConfig(width, height, cq=30, cpu_used=3, four_way=True)) as encoder:
        frame = encoder.encode(next(open_clip(picture, (960, 540)).frames()))
    whole = frame.labels[32][: height // 32, : width // 32]
    assert np.array_equal(data.blocks["partition"].reshape(whole.shape), whole)
    assert data.costs is not None
    assert np.isfinite(data.costs["rd"]).any(axis=1).all()
    fails(
        cli("label", picture, "-o", tmp_path / "none", "--node", 32, "--size", "40x30", "--split", "train"),
        "has no whole 32x32 node",
    )


@pytest.mark.usefixtures("libaom")
def test_both_sizes_in_one_encode(large: Path, usual: Path, tmp_path: Path) -> None:
    luma = BlockSet.load(large / "data").luma(6)[0]  # what the models know
    raw = tmp_path / "painted.yuv"
    raw.write_bytes(luma.tobytes() + bytes([128]) * (luma.size // 2))
    words = ("encode", raw, "--raw", "272x224", "--keyint", 1, "--cpu-used", 1, "--cq", 20, "--any-settings", "--json")
    alone = json.loads(done(*words, "-o", tmp_path / "a.ivf", "--pipeline", usual).output)
    both = json.loads(done(*words, "-o", tmp_path / "b.ivf", "--pipeline", usual, "--pipeline", large / "pipe").output)
    assert both["failed_masks"] == 0
    assert both["masked_blocks"] != alone["masked_blocks"]
    fails(cli(*words, "-o", tmp_path / "c.ivf", "--pipeline", usual, "--pipeline", usual), "at most one for each size")
    assert not (tmp_path / "c.ivf").exists()


@pytest.mark.usefixtures("libaom")
def test_a_benchmark_of_both_sizes(large: Path, usual: Path, tmp_path: Path) -> None:
    words = ("--presets", "2,4", "--masked", "4", "--cq", "20,40,60", "--repeats", 1, "--any-settings", "--json")
    pipes = ("--pipeline", usual, "--pipeline", large / "pipe")
    run = done("bench", "encoder", CHELSEA, "-o", tmp_path / "bench", "--size", "320x200", *words, *pipes)
    report = json.loads(run.stdout)
    assert [p["node"] for p in report["pipelines"]] == [16, 32]
    arms = {arm["name"]: arm for arm in report["arms"]}
    assert arms["pipeline at 4"]["lost_nodes"] > 0
    # Small nodes inside larger blocks may have been searched, and masked, too.
    assert all(arm["masked_nodes"] + arm["kept_nodes"] <= 1 for arm in arms.values())
    lines = (tmp_path / "bench" / "measurements.jsonl").read_text().splitlines()
    assert {json.loads(line)["whole_nodes"] for line in lines} == {18 * 12 + 9 * 6}  # of 300x200
    assert "for 32x32 nodes" in (tmp_path / "bench" / "index.html").read_text()


def test_a_checkpoint_s_blocks_are_of_its_model_s_nodes(large: Path, tmp_path: Path) -> None:
    checkpoint = Bundle.load(large / "bundle").checkpoint()
    mixed = replace(checkpoint, calibration=replace(checkpoint.calibration, node=16))  # the same pixels
    save_checkpoint(tmp_path / "mixed.pt", mixed)
    with pytest.raises(ToolkitError, match="show a 16x16 node, context 8, its model takes a 32x32 node, context 0"):
        load_checkpoint(tmp_path / "mixed.pt")


@pytest.mark.usefixtures("libaom")
def test_a_clip_without_a_large_node_is_refused_before_any_encode(large: Path, tmp_path: Path) -> None:
    raw = tmp_path / "narrow.yuv"
    raw.write_bytes(bytes([128]) * (24 * 64 * 3 // 2))
    words = ("-o", tmp_path / "bench", "--raw", "24x64", "--pipeline", large / "pipe", "--any-settings")
    fails(cli("bench", "encoder", raw, *words), "24x64 has no whole 32x32 node")
    assert not (tmp_path / "bench" / "measurements.jsonl").exists()
