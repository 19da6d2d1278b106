"""Bisection names the planted node, or says that the graph is not at fault."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from onnx import ModelProto, numpy_helper
from support.sealed import write_json

from export.bundle.bundle import Bundle
from export.graph.export import export_onnx
from export.proof.bisect import bisect
from export.proof.bundle_faults import MODEL_FAULTS, planted
from export.proof.graph_faults import FAULTS
from toolkit.cli.main import main
from toolkit.data.blockset import Blocks, BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import seal, sha256_file
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet


@pytest.fixture(scope="module")
def bundle(exported: Path) -> Bundle:
    return Bundle.load(exported)


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> PartitionNet:
    return bundle.checkpoint().model


@pytest.fixture(scope="module")
def blocks(blockset_8: Path) -> Blocks:
    return BlockSet.load(blockset_8).split_blocks("test", "2", limit=40)


@pytest.mark.numeric
def test_a_healthy_graph_departs_nowhere(bundle: Bundle, model: PartitionNet, blocks: Blocks) -> None:
    found = bisect(model, bundle.model_bytes(), blocks)
    assert not found["departs"]
    assert "node" not in found


def weighted(proto: ModelProto) -> list[onnx.NodeProto]:
    """The nodes that have weights, in the graph's order."""
    weights = {t.name for t in proto.graph.initializer if len(t.dims) > 1}
    return [node for node in proto.graph.node if set(node.input) & weights]


@pytest.mark.numeric
@pytest.mark.parametrize("place", [0, 2, -1])
def test_the_damaged_layer_is_named(bundle: Bundle, model: PartitionNet, blocks: Blocks, place: int) -> None:
    proto = onnx.load_model_from_string(bundle.model_bytes())
    node = weighted(proto)[place]
    tensor = next(t for t in proto.graph.initializer if t.name == node.input[1])
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.001), tensor.name))
    found = bisect(model, proto.SerializeToString(), blocks)
    assert found["departs"]
    assert found["node"]["name"] == node.name
    assert found["node"]["error"] > found["node"]["allowed"] > 0
    if place == 0:
        assert found["node"]["module"] == "backbone.layers.0.1"  # the batch-norm that was folded into it


@pytest.mark.parametrize(
    ("fault", "operator", "output"),
    [
        ("luma divided by its peak + 1", "Mul", "planted_luma"),
        ("input transposed", "Transpose", "planted_luma"),
        ("qindex dropped", "Mul", "planted_qindex"),
        ("classes permuted", "Gather", "logits"),
    ],
)
def test_an_operator_that_does_not_belong_is_named(
    bundle: Bundle, model: PartitionNet, blocks: Blocks, fault: str, operator: str, output: str
) -> None:
    proto = onnx.load_model_from_string(bundle.model_bytes())
    FAULTS[fault](proto)
    node = bisect(model, proto.SerializeToString(), blocks)["node"]
    assert (node["operator"], node["output"]) == (operator, output)


@pytest.mark.numeric
def test_another_epsilon_is_traced_to_its_batch_norm(model: PartitionNet, blocks: Blocks) -> None:
    wrong = export_onnx(planted(model, blocks, MODEL_FAULTS["another batch-norm epsilon"]))
    assert bisect(model, wrong, blocks)["node"]["module"] == "backbone.layers.0.1"


def test_nan_departs(bundle: Bundle, model: PartitionNet, blocks: Blocks) -> None:
    proto = onnx.load_model_from_string(bundle.model_bytes())
    node = weighted(proto)[1]
    tensor = next(t for t in proto.graph.initializer if t.name == node.input[1])
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(np.nan), tensor.name))
    found = bisect(model, proto.SerializeToString(), blocks)["node"]
    assert (found["name"], found["error"]) == (node.name, "nan")


def test_a_graph_of_other_names_is_refused(bundle: Bundle, model: PartitionNet, blocks: Blocks) -> None:
    proto = onnx.load_model_from_string(bundle.model_bytes())
    for node in proto.graph.node:
        node.input[:] = [i if i in ("luma", "qindex") else f"x_{i}" for i in node.input]
        node.output[:] = [o if o == "logits" else f"x_{o}" for o in node.output]
    for tensor in proto.graph.initializer:
        tensor.name = f"x_{tensor.name}"
    del proto.graph.value_info[:]
    with pytest.raises(ToolkitError, match="not our export"):
        bisect(model, proto.SerializeToString(), blocks)


@pytest.mark.long
def test_a_deep_network_is_bisected_in_seconds(blocks: Blocks) -> None:
    torch.manual_seed(0)
    deep = PartitionNet(ModelConfig("2", "resnet18-se")).eval()
    proto = onnx.load_model_from_string(export_onnx(deep))
    nodes = [node for node in weighted(proto) if node.op_type == "Conv"]
    node = nodes[len(nodes) // 2]
    tensor = next(t for t in proto.graph.initializer if t.name == node.input[1])
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.01), tensor.name))
    assert bisect(deep, proto.SerializeToString(), blocks)["node"]["name"] == node.name


def test_a_failed_proof_names_the_layer(exported: Path, blockset_8: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(exported, tmp_path / "copy")
    proto = onnx.load(copy / "model.onnx")
    name = weighted(proto)[0].name
    FAULTS["one kernel 1% too strong"](proto)
    onnx.save(proto, copy / "model.onnx")
    manifest = json.loads((copy / "manifest.json").read_text())
    size = (copy / "model.onnx").stat().st_size
    manifest["files"]["model.onnx"] = {"bytes": size, "sha256": sha256_file(copy / "model.onnx")}
    write_json(copy / "manifest.json", seal(manifest))
    words = ["parity", str(copy), str(blockset_8), "--provider", "cpu", "--limit", "20", "--json"]
    run = CliRunner().invoke(main, words)
    assert run.exit_code == 1
    result = json.loads(run.stdout)
    assert {"profiles", "bisect"} <= result.keys()
    assert result["bisect"]["node"]["name"] == name
