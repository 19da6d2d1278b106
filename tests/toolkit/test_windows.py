"""Context around the block: cut alike everywhere, stated by every file, and loud where it is another."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from support.commands import cli, fails
from support.masks import cut_nodes
from support.pictures import frame

from export.bundle.bundle import Bundle
from export.bundle.write import Chosen, write_bundle
from export.graph.contract import Contract
from export.graph.export import export_onnx
from export.graph.runtime import RuntimeModel
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.stages import Cascade
from toolkit.data.blockset import BlockSet
from toolkit.data.write import Source, make_records, write_blockset
from toolkit.errors import ToolkitError
from toolkit.model.checkpoint import load_checkpoint, save_checkpoint
from toolkit.model.config import BACKBONES, ModelConfig
from toolkit.model.network import PartitionNet, predict
from toolkit.windows import CONTEXTS, Window, centre, cut_windows

pytestmark = pytest.mark.usefixtures("evaluated_here")
ENCODER = {"name": "none"}


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> BlockSet:
    """A crop of a photograph whose size is no whole number of nodes, each node labelled."""
    luma = frame(118, 86)[0]
    rows, columns = np.indices((86 // 16, 118 // 16)).reshape(2, -1) * 16
    path = tmp_path_factory.mktemp("photograph") / "set"
    source = Source("cat", "train", "1" * 64, luma[None], licence="CC0-1.0", origin="a test")
    records = make_records(0, np.zeros(len(rows), int), rows, columns, 60, np.full(len(rows), 3))
    write_blockset(path, [source], records, 8, ENCODER)
    return BlockSet.load(path)


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_photograph_s_windows_are_the_same_for_training_and_the_pipeline(photograph: BlockSet, context: int) -> None:
    luma, size = photograph.luma(0)[0], 16 + 2 * context
    padded = np.pad(luma, context, mode="edge")
    rows, columns = np.indices((86 // 16, 118 // 16)).reshape(2, -1)
    blocks = photograph.split_blocks("train", "2", window=Window(context=context))
    assert (blocks.window.context, blocks.luma.shape) == (context, (35, 1, size, size))
    wanted = [padded[r : r + size, c : c + size] for r, c in zip(blocks.row, blocks.column, strict=True)]
    assert np.array_equal(blocks.luma[:, 0], wanted)
    assert np.array_equal(cut_nodes(luma, Window(context=context), rows, columns), blocks.luma)
    assert np.array_equal(centre(blocks.luma, blocks.window, Window()), photograph.split_blocks("train", "2").luma)
    interior = [(r >= context and c >= context) for r, c in zip(blocks.row, blocks.column, strict=True)]
    assert any(interior)
    assert context == 0 or not all(interior)


def test_a_frame_smaller_than_the_window() -> None:
    plane = np.arange(17 * 16, dtype=np.uint16).reshape(1, 17, 16)
    zero = np.zeros(1, int)
    assert np.array_equal(
        cut_windows(plane, zero, zero, zero, Window(context=16))[0, 0], np.pad(plane[0], 16, mode="edge")[:48]
    )


def test_loose_blocks_have_no_context(tmp_path: Path) -> None:
    luma = np.random.default_rng(0).integers(0, 255, (4, 16, 16)).astype(np.uint8)
    source = Source("loose", "train", "1" * 64, luma, licence="CC0-1.0", origin="a test")
    write_blockset(tmp_path / "set", [source], make_records(0, np.arange(4), 0, 0, 60, 3), 8, ENCODER)
    data = BlockSet.load(tmp_path / "set")
    assert len(data.split_blocks("train")) == 4
    with pytest.raises(ToolkitError, match="loose holds loose 16x16 blocks"):
        data.split_blocks("train", window=Window(context=4))
    run = cli("train", tmp_path / "set", "-o", tmp_path / "run", "--context", 8, "--device", "cpu", "--init", "random")
    fails(run, "loose 16x16 blocks", "--context 0")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("backbone", [b for b in BACKBONES if b != "vit_b_16"])
@pytest.mark.parametrize("context", [4, 16])
def test_every_backbone_looks_at_the_window_it_says(backbone: str, context: int) -> None:
    torch.manual_seed(0)
    model = PartitionNet(ModelConfig("2", backbone, context=context)).eval().double()
    size = 16 + 2 * context
    luma = np.random.default_rng(0).integers(0, 256, (3, 1, size, size)).astype(np.uint8)
    qindex = np.full(3, 60, np.uint8)
    logits = predict(model, luma, qindex)
    assert logits.shape == (3, 3)
    other = luma.copy()
    other[:, :, 0] = 255 - other[:, :, 0]  # the outermost row, far from the block
    assert not torch.equal(predict(model, other, qindex), logits)
    for wrong in (luma[..., 4:-4, 4:-4], luma[..., :-2], np.pad(luma, ((0, 0), (0, 0), (4, 4), (4, 4)))):
        with pytest.raises(ToolkitError, match=f"a 16x16 node, context {context}"):
            predict(model, wrong, qindex)
        with pytest.raises(ToolkitError, match=f"a 16x16 node, context {context}"):
            model(torch.from_numpy(wrong).double(), torch.zeros(3, 1))
    if backbone == "small":
        assert sum(p.numel() for p in model.parameters()) < 250_000


def test_settings_that_no_backbone_has() -> None:
    with pytest.raises(ToolkitError, match="Context 6: expected one of 0, 4, 8"):
        ModelConfig("2", "small", context=6)
    with pytest.raises(ToolkitError, match=r"vit_b_16 takes 224x224, .* Expected a window of 8, 16, 32"):
        ModelConfig("2", "vit_b_16", context=4)
    assert ModelConfig("2", "vit_b_16", context=8).context == 8
    with pytest.raises(ToolkitError, match="resnet18-se has one already"):
        ModelConfig("2", "resnet18-se", spatial_attention=True)
    with pytest.raises(ToolkitError, match="resnet50 has no place"):
        ModelConfig("2", "resnet50", spatial_attention=True)
    assert cli("train", "DATA", "-o", "RUN", "--context", 6).exit_code == 2
    old = {k: v for k, v in ModelConfig("2", "small").to_dict().items() if k not in ("context", "spatial_attention")}
    assert ModelConfig.from_dict(old) == ModelConfig("2", "small")


@pytest.fixture(scope="module")
def wide(blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `run`, `bundle` (proven) and `pipe` of the small network with context 8 and a spatial attention."""
    root = tmp_path_factory.mktemp("wide")
    options = ("--backbone", "small", "--init", "random", "--lr", "3e-3", "--batch-size", 32, "--device", "cpu")
    more = ("--epochs", 3, "--context", 8, "--spatial-attention", "--augment", "dihedral")
    for words in (
        ("train", blockset_8, "-o", root / "run", *options, *more),
        ("export", root / "run", "-o", root / "bundle"),  # selects the epoch
        ("parity", root / "bundle", blockset_8, "--provider", "cpu"),
        ("pipeline", "build", root / "bundle", "-o", root / "pipe"),
    ):
        run = cli(*words)
        assert run.exit_code == 0, run.output
    return root


@pytest.mark.numeric
def test_train_to_mask_with_context_and_attention(wide: Path, blockset_8: Path) -> None:
    bundle, data = Bundle.load(wide / "bundle"), BlockSet.load(blockset_8)
    config = json.loads((wide / "run" / "run.json").read_text())["model"]
    assert (config["context"], config["spatial_attention"]) == (8, True)
    assert bundle.manifest["contract"]["window"] == {"height": 32, "width": 32, "row": 8, "column": 8}
    assert bundle.manifest["contract"]["inputs"]["luma"] == ["batch", 1, 32, 32]
    graph = onnx.load_model_from_string(bundle.model_bytes()).graph
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim][1:] == [1, 32, 32]
    assert any(node.op_type == "Sigmoid" for node in graph.node)  # the gate
    assert bundle.checkpoint().calibration.window == Window(16, 8)
    assert "8 source pixels around it" in (wide / "bundle" / "MODEL_CARD.md").read_text()

    # A frame's nodes, corners included, are decided as the data set's blocks are.
    pipeline = Pipeline.load(wide / "pipe")
    source, luma = 6, data.luma(6)[0]
    at = np.flatnonzero((data.blocks["source"] == source) & (data.blocks["frame"] == 0) & (data.blocks["qindex"] == 60))
    blocks = data.take(at, window=Window(context=8))
    whole = pipeline.cascade.every(
        cut_nodes(luma, Window(context=8), *np.indices((7, 8)).reshape(2, -1)), np.full(7 * 8, 60, np.uint8)
    )["2"]
    node = blocks.row.astype(int) // 16 * 8 + blocks.column // 16
    np.testing.assert_allclose(pipeline.cascade.every(blocks.luma, blocks.qindex)["2"], whole[node], atol=1e-6)
    assert pipeline.mask(luma, 60).shape == (7, 9)
    assert cli("pipeline", "eval", wide / "pipe", blockset_8).exit_code == 0
    assert cli("evaluate", wide / "run", blockset_8).exit_code == 0


def test_a_wrong_window_is_loud_everywhere(wide: Path, blockset_8: Path, exported: Path, tmp_path: Path) -> None:
    data, bundle = BlockSet.load(blockset_8), Bundle.load(wide / "bundle")
    narrow, broad = (data.split_blocks("test", "2", 4, window=Window(context=c)) for c in (0, 8))
    with pytest.raises(ToolkitError, match=r"shape \(4, 1, 16, 16\), expected \(N, 1, 32, 32\)"):
        bundle.session().logits(narrow.luma, narrow.qindex)
    with pytest.raises(ToolkitError, match=r"shape \(4, 1, 32, 32\), expected \(N, 1, 16, 16\)"):
        Bundle.load(exported).session().logits(broad.luma, broad.qindex)
    with pytest.raises(ToolkitError, match=r"16x16 node, context 8.: expected \(N, 1, 32, 32\)"):
        Pipeline.load(wide / "pipe").cascade.every(narrow.luma, narrow.qindex)
    with pytest.raises(ToolkitError, match="inputs are"):
        RuntimeModel(bundle.model_bytes(), Contract("2", 8, True))

    checkpoint = load_checkpoint(wide / "bundle" / "checkpoint.pt")
    save_checkpoint(tmp_path / "mixed.pt", replace(checkpoint, calibration=narrow))
    with pytest.raises(ToolkitError, match="show a 16x16 node, context 0, its model takes a 16x16 node, context 8"):
        load_checkpoint(tmp_path / "mixed.pt")

    options = ("--backbone", "small", "--init", "stage1", "--from", wide / "one.pt", "--device", "cpu")
    stage1 = PartitionNet(ModelConfig("1", "small", context=8)).eval()
    save_checkpoint(wide / "one.pt", replace(checkpoint, model=stage1))
    fails(cli("train", blockset_8, "-o", tmp_path / "run", *options), "context is 8, this model's is 0")


def test_stages_of_different_contexts_see_the_middle_of_the_widest(
    wide: Path, blockset_8: Path, exported: Path, tmp_path: Path
) -> None:
    data, trained = BlockSet.load(blockset_8), load_checkpoint(exported / "checkpoint.pt")
    torch.manual_seed(0)
    scores = {"accuracy": 0.5, "macro_f1": 0.5, "per_class": {c: {"f1": 0.5} for c in ("NONE", "PARTITION")}}
    constant = {**trained.baselines["best_constant"], "class": "NONE", "macro_f1": 0.1}
    one = replace(
        trained,
        model=PartitionNet(ModelConfig("1", "small", context=4)).eval(),
        metrics=scores,
        baselines={"best_constant": constant},
        calibration=data.split_blocks("val", "1", 64, window=Window(context=4)),
    )
    save_checkpoint(tmp_path / "1.pt", one)
    first = write_bundle(Chosen(tmp_path / "1.pt", "a test"), tmp_path / "1", allow_weak=True)
    bundles = {"1": first, "2": Bundle.load(wide / "bundle")}
    apart = Cascade({stage: bundle.session() for stage, bundle in bundles.items()})
    assert apart.window == Window(16, 8)
    blocks = data.split_blocks("test", limit=50, window=Window(context=8))
    found = apart.every(blocks.luma, blocks.qindex)
    same = data.split_blocks("test", limit=50, window=Window(context=4))
    logits = first.session().logits(same.luma, same.qindex)
    assert np.allclose(found["1"], torch.softmax(torch.from_numpy(logits), 1), atol=1e-5)

    words = ("-o", tmp_path / "pipe", "--allow-unproven")
    run = cli("pipeline", "build", first.path, wide / "bundle", *words)
    assert run.exit_code == 0, run.output
    pipeline = Pipeline.load(tmp_path / "pipe")
    assert pipeline.cascade.window == apart.window
    luma = data.luma(5)[0]
    separate = Pipeline(pipeline.path, pipeline.manifest, pipeline.bundles, apart, pipeline.policy)
    assert np.array_equal(pipeline.mask(luma, 60), separate.mask(luma, 60))


def test_the_attention_moves_the_small_network_and_nothing_else_changes() -> None:
    torch.manual_seed(0)
    plain = PartitionNet(ModelConfig("2", "small")).eval()
    torch.manual_seed(0)
    gated = PartitionNet(ModelConfig("2", "small", spatial_attention=True)).eval()
    added = set(gated.state_dict()) - set(plain.state_dict())
    assert added == {"backbone.spatial_attn.conv.weight", "backbone.spatial_attn.conv.bias"}
    gated.load_state_dict(plain.state_dict(), strict=False)
    luma = np.random.default_rng(0).integers(0, 256, (5, 1, 16, 16)).astype(np.uint8)
    qindex = np.full(5, 60, np.uint8)
    assert not torch.equal(predict(plain, luma, qindex), predict(gated, luma, qindex))
    runtime = RuntimeModel(export_onnx(gated), Contract.of(gated.config))
    np.testing.assert_allclose(runtime.logits(luma, qindex), predict(gated, luma, qindex), atol=1e-4)
