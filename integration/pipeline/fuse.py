"""The cascade as one ONNX graph: the stages' graphs side by side, their softmaxes multiplied into those of AV1 ids."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, compose, helper, numpy_helper

from export.bundle.bundle import Bundle
from export.graph.check import OPSET, check_onnx
from export.graph.cost import check_cost
from export.graph.runtime import Shapes
from integration.pipeline.stages import IDS, Layout
from toolkit.errors import ToolkitError, first_line
from toolkit.files import canonical_json

OUTPUT = "probabilities"
FORMAT_VERSION = 1


def outputs() -> Shapes:
    """Name and shape of the fused graph's output; its inputs are those of every stage."""
    return {OUTPUT: ["batch", IDS]}


def metadata(bundles: Mapping[str, Bundle]) -> dict[str, str]:
    """Metadata of the fused graph, which names exactly the bundles that it was made of."""
    about = {
        "format_version": FORMAT_VERSION,
        "bundles": {stage: bundle.sha256 for stage, bundle in bundles.items()},
        "bit_depth": next(iter(bundles.values())).bit_depth,
    }
    return {"av1part-fused": canonical_json(about).decode()}


def fuse(bundles: Mapping[str, Bundle]) -> bytes:
    """Make one ONNX file of a cascade: inputs `luma` and `qindex`, output `probabilities` float32 (N, 10).

    The window is that of the largest context; a stage with less context is given the middle of it.
    Column k is AV1 partition id k; `integration.pipeline.stages.Layout` says what the columns of a partial cascade
    mean. Raises ToolkitError where a bundle's graph or the fused graph is not sound.
    """
    widest = max((bundle.contract for bundle in bundles.values()), key=lambda contract: contract.window.size)
    layout = Layout.of(bundles, widest.window.node)
    nodes, weights, values = [], [], []
    for stage, bundle in bundles.items():
        proto = check_onnx(bundle.model_bytes(), bundle.contract, int8=bundle.int8)
        own = compose.add_prefix(proto, f"s{stage}/", rename_inputs=False)
        if margin := widest.window.context - bundle.contract.window.context:
            nodes.append(_crop(own, stage))
            weights += _crop_constants(stage, margin)
        nodes += [*own.graph.node, *_factor(stage)]
        weights += [*own.graph.initializer, *_factor_constants(stage, layout)]
        values += own.graph.value_info
    factors = [f"s{stage}/factor" for stage in bundles]
    product = "weights"
    for index, factor in enumerate(factors):
        target = OUTPUT if index == len(factors) - 1 else f"product{index}"
        nodes.append(helper.make_node("Mul", [factor, product], [target], name=f"multiply{index}"))
        product = target
    weights.append(numpy_helper.from_array(np.array([layout.weights], np.float32), "weights"))
    graph = helper.make_graph(
        nodes,
        "av1part cascade",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in widest.inputs().items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs().items()],
        weights,
        value_info=values,
    )
    model: ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10, producer_name="av1part"
    )
    helper.set_model_props(model, metadata(bundles))
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker and shape inference have no common base
        raise ToolkitError(f"The fused graph is not valid ({first_line(error)}).") from None
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def check_fused(data: bytes) -> None:
    """Raise ToolkitError where the file is no graph of standard operators, or as `check_cost` does."""
    try:
        proto = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's errors have no base of their own
        raise ToolkitError(f"The fused graph is not valid ({str(error)[:200]}). Build the pipeline again.") from None
    if [(o.domain, o.version) for o in proto.opset_import] != [("", OPSET)] or proto.functions:
        raise ToolkitError(f"The fused graph is not of opset {OPSET} alone. Build the pipeline again.")
    check_cost(proto)


def _crop(stage_graph: ModelProto, stage: str) -> onnx.NodeProto:
    """Make the node that cuts a stage's window out of the largest one, and let the stage's nodes read its output."""
    names = {"luma": f"s{stage}/luma"}
    for node in stage_graph.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    inputs = ["luma", *(f"s{stage}/crop_{what}" for what in ("starts", "ends", "axes"))]
    return helper.make_node("Slice", inputs, [names["luma"]], name=f"s{stage}/crop")


def _crop_constants(stage: str, margin: int) -> list[TensorProto]:
    values = {"starts": [margin, margin], "ends": [-margin, -margin], "axes": [2, 3]}
    return [numpy_helper.from_array(np.array(v, np.int64), f"s{stage}/crop_{what}") for what, v in values.items()]


def _factor(stage: str) -> list[onnx.NodeProto]:
    """Nodes of a stage's factor: softmax, padded by a column of ones, then gathered to a column an AV1 id.

    Padding and gathering copy exactly, so that TF32 plays no part.
    """
    names = ("softmax", "padded", "factor")
    softmax, padded, factor = (f"s{stage}/{name}" for name in names)
    return [
        helper.make_node("Softmax", [f"s{stage}/logits"], [softmax], name=softmax, axis=1),
        helper.make_node("Pad", [softmax, f"s{stage}/pads", f"s{stage}/one"], [padded], name=padded),
        helper.make_node("Gather", [padded, f"s{stage}/columns"], [factor], name=factor, axis=1),
    ]


def _factor_constants(stage: str, layout: Layout) -> list[TensorProto]:
    constants: dict[str, NDArray[Any]] = {
        "pads": np.array([0, 0, 0, 1], np.int64),
        "one": np.array(1, np.float32),
        "columns": np.array(layout.columns[stage], np.int64),
    }
    return [numpy_helper.from_array(value, f"s{stage}/{name}") for name, value in constants.items()]
