"""What a graph may take: refused by its shapes alone where memory or work outgrow the batch."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, helper, numpy_helper

from export.graph.check import check_onnx
from export.graph.contract import Contract
from export.graph.cost import BATCHES, check_cost
from export.graph.export import export_onnx
from toolkit.errors import ToolkitError
from toolkit.model.config import BACKBONES, ModelConfig
from toolkit.model.ensemble import make_model
from toolkit.model.ensemble_config import EnsembleConfig

SMALL = ModelConfig("2", "small")
node = helper.make_node
OUTGROWN = "more than the batch grows|no shape that is known before it runs"


@pytest.fixture(scope="module")
def honest() -> bytes:
    return export_onnx(make_model(SMALL.to_dict()).eval())


def with_nodes(honest: bytes, nodes: list[NodeProto]) -> ModelProto:
    """The graph with these nodes, whose last value, `large`, is summed up and added to the logits."""
    proto = onnx.load_model_from_string(honest)
    graph = proto.graph
    for own in graph.node:
        own.output[:] = ["before" if name == "logits" else name for name in own.output]
    constants = {
        "one": np.ones((1, 1), np.float32),
        "kernel": np.ones((1, 1, 1, 1), np.float32),
        "wide": np.array([1 << 22]),
        "once": np.array([1]),
        "first": np.array([0]),
        "width": np.array([1, 1 << 14]),
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.node.extend(
        [
            node("Shape", ["qindex"], ["size"], start=0, end=1),
            *nodes,
            node("ReduceSum", ["large"], ["sum"], keepdims=0),
            node("Add", ["before", "sum"], ["logits"]),
        ]
    )
    return proto


def pairs(name: str) -> list[NodeProto]:
    return [node("Concat", ["size", "size"], [name], axis=0)]


QUADRATIC: dict[str, list[NodeProto]] = {
    "MatMul": [node("Transpose", ["qindex"], ["t"]), node("MatMul", ["qindex", "t"], ["large"])],
    "Gemm": [node("Gemm", ["qindex", "qindex"], ["large"], transB=1)],
    "Mul": [node("Transpose", ["qindex"], ["t"]), node("Mul", ["qindex", "t"], ["large"])],
    "Expand": [*pairs("shape"), node("Expand", ["one", "shape"], ["large"])],
    "Tile": [*pairs("shape"), node("Tile", ["one", "shape"], ["large"])],
    "ConstantOfShape": [*pairs("shape"), node("ConstantOfShape", ["shape"], ["large"])],
    "Conv": [
        node("Unsqueeze", ["qindex", "once"], ["image"]),
        node("Unsqueeze", ["image", "once"], ["images"]),
        node("Conv", ["images", "images"], ["large"]),
    ],
    "Gather": [
        node("Cast", ["qindex"], ["index"], to=onnx.TensorProto.INT64),
        node("Mul", ["index", "first"], ["zero"]),
        node("Gather", ["zero", "zero"], ["many"], axis=0),
        node("Squeeze", ["zero", "once"], ["flat"]),
        node("Gather", ["many", "flat"], ["more"], axis=0),
        node("Transpose", ["qindex"], ["t"]),
        node("Cast", ["more"], ["floats"], to=onnx.TensorProto.FLOAT),
        node("Mul", ["floats", "t"], ["large"]),
    ],
}


@pytest.mark.parametrize("name", list(QUADRATIC))
def test_a_value_with_two_axes_of_the_batch_is_refused(honest: bytes, name: str) -> None:
    proto = with_nodes(honest, QUADRATIC[name])
    with pytest.raises(ToolkitError, match=OUTGROWN):
        check_onnx(proto.SerializeToString(), Contract.of(SMALL))


UNKNOWN: dict[str, tuple[list[NodeProto], str]] = {
    "a shape that the pixels decide": (
        [node("NonZero", ["qindex"], ["at"]), node("Cast", ["at"], ["large"], to=onnx.TensorProto.FLOAT)],
        "no shape that is known before it runs",
    ),
    "a size that the qindex decides": (
        [
            node("ReduceMax", ["qindex"], ["most"], keepdims=0),
            node("Cast", ["most"], ["whole"], to=onnx.TensorProto.INT64),
            node("Unsqueeze", ["whole", "first"], ["shape"]),
            node("ConstantOfShape", ["shape"], ["large"]),
        ],
        "no shape that is known before it runs",
    ),
    "sums written in letters": (
        [node("Einsum", ["qindex", "qindex"], ["large"], equation="ij,kj->i")],
        "operators Einsum",
    ),
    "much for each block": (
        [node("Concat", ["size", "wide"], ["shape"], axis=0), node("Expand", ["one", "shape"], ["large"])],
        "a size that no block needs",
    ),
    "much work for each block": (
        [
            node("Tile", ["qindex", "width"], ["left"]),
            node("Unsqueeze", ["left", "once"], ["row"]),
            node("Transpose", ["row"], ["column"], perm=[0, 2, 1]),
            node("Slice", ["column", "first", "halved", "once"], ["some"]),
            node("MatMul", ["some", "row"], ["large"]),
        ],
        "a size that no block needs",
    ),
}


@pytest.mark.parametrize("name", list(UNKNOWN))
def test_a_cost_that_is_unknown_or_absurd_is_refused(honest: bytes, name: str) -> None:
    nodes, message = UNKNOWN[name]
    proto = with_nodes(honest, nodes)
    proto.graph.initializer.append(numpy_helper.from_array(np.array([1 << 13]), "halved"))
    with pytest.raises(ToolkitError, match=message):
        check_onnx(proto.SerializeToString(), Contract.of(SMALL))


def test_absurdly_many_multiplications_are_refused(honest: bytes) -> None:
    """No value is large: a chain of products of small matrices, each made of the one before."""
    side = 1 << 10
    nodes = [node("Reshape", ["qindex", "square"], ["cell"]), node("Tile", ["cell", "sides"], ["m0"])]
    nodes += [node("MatMul", [f"m{i}", f"m{i}"], [f"m{i + 1}"]) for i in range(600)]
    proto = with_nodes(honest, [*nodes, node("Identity", ["m600"], ["large"])])
    for name, value in {"square": [-1, 1, 1], "sides": [1, side, side]}.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
    with pytest.raises(ToolkitError, match="multiplications a block"):
        check_onnx(proto.SerializeToString(), Contract.of(SMALL))


def test_shapes_that_the_file_claims_count_for_nothing(honest: bytes) -> None:
    proto = with_nodes(honest, QUADRATIC["MatMul"])
    proto.graph.value_info.append(helper.make_tensor_value_info("large", onnx.TensorProto.FLOAT, ["batch", "other"]))
    with pytest.raises(ToolkitError, match=OUTGROWN):
        check_onnx(proto.SerializeToString(), Contract.of(SMALL))


HONEST: dict[str, Callable[[], ModelConfig]] = {
    **{name: (lambda name=name: ModelConfig("2", name)) for name in BACKBONES},
    "context": lambda: ModelConfig("1", "small", context=16, spatial_attention=True),
    "members": lambda: EnsembleConfig.of([SMALL, SMALL]),
    "flips": lambda: EnsembleConfig.of([SMALL], "flips"),
    "dihedral": lambda: EnsembleConfig.of([SMALL, ModelConfig("2", "resnet18-se")], "dihedral"),
}


@pytest.mark.long
@pytest.mark.parametrize("name", list(HONEST))
def test_every_model_of_ours_is_far_below_the_bounds(name: str) -> None:
    check_cost(onnx.load_model_from_string(export_onnx(make_model(HONEST[name]().to_dict()).eval())))


def test_the_bounds_hold_up_to_the_largest_call() -> None:
    from export.graph.runtime import MAX_BATCH

    assert max(BATCHES) == MAX_BATCH
