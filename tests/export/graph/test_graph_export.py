"""Export to ONNX: what the file contains, what it must not, and that every departure from the contract is named."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import Exporter
from onnx import ModelProto, numpy_helper
from support.places import ROOT

import export.graph.export
from export.compare.budget import set_budget
from export.compare.verdict import compare
from export.graph.check import OPSET, check_onnx
from export.graph.contract import Contract
from export.graph.export import export_onnx
from export.graph.runtime import RuntimeModel
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.model.checkpoint import load_checkpoint
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet
from toolkit.training.run_folder import RunFolder

rng = np.random.default_rng(0)


def net(stage: str = "2", backbone: str = "small", qindex: bool = True, bit_depth: int = 8) -> PartitionNet:
    torch.manual_seed(0)
    return PartitionNet(ModelConfig(stage, backbone, qindex, bit_depth)).eval()


@pytest.fixture(scope="module")
def model(trained: Path) -> PartitionNet:
    return load_checkpoint(RunFolder(trained).epoch_path(3)).model


@pytest.fixture(scope="module")
def data(model: PartitionNet) -> bytes:
    return export_onnx(model)


def test_the_graph_is_the_contract_s(model: PartitionNet, data: bytes) -> None:
    proto = check_onnx(data, Contract.of(model.config))
    assert proto.opset_import[0].version == OPSET == 20
    shapes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in proto.graph.input}
    assert shapes == {"luma": ["batch", 1, 16, 16], "qindex": ["batch", 1]}
    metadata = {p.key: p.value for p in proto.metadata_props}
    assert '"av1_ids":[1,2],"name":"RECT"' in metadata["av1part"]
    assert metadata["Image.BitmapPixelFormat"] == "Gray8"


def test_nothing_of_this_machine_ships(data: bytes) -> None:
    here = [str(ROOT), str(Path(torch.__file__).parents[1]), "site-packages", "File "]
    assert [text for text in here if text.encode() in data] == []
    proto = onnx.load_model_from_string(data)
    assert not any(node.metadata_props or node.doc_string for node in proto.graph.node)


def test_export_is_silent_leaves_no_file_and_repeats(
    model: PartitionNet,
    data: bytes,
    exporter: Exporter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(export.graph.export, "export_program", exporter)
    assert export_onnx(model) == data
    assert os.listdir() == []  # noqa: PTH208
    assert capfd.readouterr().out == ""


@pytest.mark.numeric
@pytest.mark.parametrize(("stage", "qindex", "bit_depth"), [("1", True, 10), ("1", False, 8), ("3-ab", False, 10)])
def test_every_stage_gives_pytorch_s_logits(stage: str, qindex: bool, bit_depth: int) -> None:
    small = net(stage, qindex=qindex, bit_depth=bit_depth)
    luma = rng.integers(0, 1 << bit_depth, (5, 1, 16, 16)).astype(np.uint8 if bit_depth == 8 else np.uint16)
    q = np.array([0, 1, 100, 254, 255], np.uint8)
    found = RuntimeModel(export_onnx(small), Contract.of(small.config)).logits(luma, q)
    with torch.inference_mode():
        expected = small(torch.from_numpy(luma).float(), torch.from_numpy(q).float()[:, None]).numpy()
    assert found.shape == (5, len(small.config.classes))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    if stage == "1":
        assert (found[:, 0] == 0).all()
        assert (found[:, 1] != 0).all()


def test_qindex_is_an_input_even_where_it_has_no_effect() -> None:
    small = net(qindex=False)
    runtime = RuntimeModel(export_onnx(small), Contract.of(small.config))
    luma = np.repeat(rng.integers(0, 256, (1, 1, 16, 16)).astype(np.uint8), 256, axis=0)
    logits = runtime.logits(luma, np.arange(256, dtype=np.uint8))
    assert (logits == logits[0]).all()
    sees = net(qindex=True)
    seen = RuntimeModel(export_onnx(sees), Contract.of(sees.config)).logits(luma, np.arange(256, dtype=np.uint8))
    assert len(np.unique(seen, axis=0)) == 256


@pytest.mark.parametrize(
    ("backbone", "stage"),
    [("resnet18-se", "2"), pytest.param("efficientnet-lite0", "1", marks=pytest.mark.long)],
)
def test_large_backbones_pass_and_need_no_cpu_node(backbone: str, stage: str, blockset_8: Path) -> None:
    large = net(stage, backbone)
    blocks = BlockSet.load(blockset_8).split_blocks("val", stage, limit=96)
    large.train()  # batch-norm statistics of these blocks: those of a fresh network let the signal die
    with torch.no_grad():
        for _ in range(10):
            large(torch.from_numpy(blocks.luma).float(), torch.from_numpy(blocks.qindex).float()[:, None])
    large.eval()
    data = export_onnx(large)
    operators = {node.op_type for node in check_onnx(data, Contract.of(large.config)).graph.node}
    assert not operators & {"Shape", "Range", "NonZero", "If", "Loop", "BatchNormalization", "Dropout"}
    found = RuntimeModel(data, Contract.of(large.config)).logits(blocks.luma, blocks.qindex)
    budget, reference = set_budget(large, blocks)
    assert compare(found, reference, budget)["reasons"] == []


def test_training_mode_is_refused() -> None:
    small = net()
    small.head.train()
    with pytest.raises(ToolkitError, match="head is in training mode"):
        export_onnx(small)


def edit_opset(proto: ModelProto) -> None:
    proto.opset_import[0].version = 21


def edit_name(proto: ModelProto) -> None:
    for node in proto.graph.node:
        node.input[:] = ["pixels" if name == "luma" else name for name in node.input]
    proto.graph.input[0].name = "pixels"


def edit_batch(proto: ModelProto) -> None:
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2


def edit_metadata(proto: ModelProto) -> None:
    entry = next(p for p in proto.metadata_props if p.key == "av1part")
    entry.value = entry.value.replace('"bit_depth":8', '"bit_depth":10')


def edit_external(proto: ModelProto) -> None:
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def edit_checker(proto: ModelProto) -> None:
    proto.graph.node[0].op_type = "NoSuchOperator"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (edit_opset, "opset"),
        (edit_name, "inputs"),
        (edit_batch, "inputs"),
        (edit_metadata, "metadata .*bit_depth"),
        (edit_external, "outside the file"),
        (edit_checker, "not valid"),
    ],
)
def test_a_departure_is_named(data: bytes, model: PartitionNet, edit, message: str) -> None:  # type: ignore[no-untyped-def]
    proto = onnx.load_model_from_string(data)
    edit(proto)
    with pytest.raises(ToolkitError, match=f"ONNX file: .*{message}"):
        check_onnx(proto.SerializeToString(), Contract.of(model.config))


def test_what_is_no_onnx_file_is_named(model: PartitionNet) -> None:
    for junk in (b"", b"junk" * 50):
        with pytest.raises(ToolkitError, match="ONNX file: "):
            check_onnx(junk, Contract.of(model.config))


def test_weights_stay_float32(data: bytes) -> None:
    kinds = {numpy_helper.to_array(t).dtype for t in onnx.load_model_from_string(data).graph.initializer}
    assert kinds <= {np.dtype(np.float32), np.dtype(np.int64)}


def test_a_refusal_of_the_checker_without_words_is_named_by_its_kind(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flipped bytes have made onnx raise an error whose text is empty."""

    def silent(*_: object, **__: object) -> None:
        raise onnx.checker.ValidationError("")

    monkeypatch.setattr(onnx.checker, "check_model", silent)
    model = load_checkpoint(exported / "checkpoint.pt").model
    with pytest.raises(ToolkitError, match=r"not valid \(ValidationError\)"):
        check_onnx((exported / "model.onnx").read_bytes(), Contract.of(model.config))
