"""An ONNX file of ours, checked against its contract in all but its values. Needs onnx and no PyTorch."""

from typing import Any

import onnx
from onnx import ModelProto

from export.graph.contract import Contract
from export.graph.cost import check_cost
from toolkit.errors import ToolkitError, first_line

OPSET = 20
"""ONNX Runtime's CUDA provider has no MaxPool kernel from opset 22 on; asked for less than 18, torch writes 18."""


def check_onnx(data: bytes, contract: Contract, *, int8: bool = False) -> ModelProto:
    """Parse an ONNX file and check all but its values; ToolkitError names the departure from the contract.

    `int8`: whether it must be quantised; without it, it must not be.
    """
    try:
        proto = onnx.load_model_from_string(data)
        # Before the checker, which would open the files.
        external = [t.name for t in _tensors(proto) if t.external_data or t.data_location]
        if external:
            raise ToolkitError(f"ONNX file: weights {external[:3]} lie outside the file. Export it again.")
        onnx.checker.check_model(proto, full_check=True)
    except ToolkitError:
        raise
    except Exception as error:  # protobuf, checker and shape inference have no common base
        raise ToolkitError(f"ONNX file: not valid ({first_line(error)}). Export it again.") from None
    # Names, shapes and types first: other properties of the wrong tensor mean nothing.
    found_in = [(v.name, _shape(v)) for v in proto.graph.input]
    found_out = [(v.name, _shape(v)) for v in proto.graph.output]
    _expect("inputs", found_in, list(contract.inputs().items()))
    _expect("outputs", found_out, list(contract.outputs().items()))
    types = {v.name: v.type.tensor_type.elem_type for v in (*proto.graph.input, *proto.graph.output)}
    _expect("types", types, dict.fromkeys(types, onnx.TensorProto.FLOAT))
    _expect("opset", [(o.domain, o.version) for o in proto.opset_import], [("", OPSET)])
    _expect("local functions", [f.name for f in proto.functions], [])
    _expect("metadata", {p.key: p.value for p in proto.metadata_props}, contract.metadata())
    in_training = [
        node.name
        for node in proto.graph.node
        if node.op_type in ("BatchNormalization", "Dropout")
        and any(a.name == "training_mode" and a.i for a in node.attribute)
    ]
    _expect("nodes in training mode", in_training, [])
    check_cost(proto)
    _expect("quantised", any(node.op_type == "DequantizeLinear" for node in proto.graph.node), int8)
    return proto


def _tensors(proto: ModelProto) -> list[Any]:
    """Every tensor that may name an external file: initializers and attributes. ToolkitError on a nested graph."""
    tensors = list(proto.graph.initializer)
    for node in proto.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                raise ToolkitError(f"ONNX file: node {node.name} holds a nested graph; the exporter writes none.")
            tensors += [attribute.t, *attribute.tensors]
    _expect("sparse weights", len(proto.graph.sparse_initializer), 0)
    return tensors


def _shape(value: Any) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def _expect(what: str, found: Any, expected: Any) -> None:
    if found == expected:
        return
    if isinstance(found, dict):  # name only the entries that differ
        keys = [k for k in sorted({*found, *expected}, key=str) if found.get(k) != expected.get(k)]
        found, expected = {k: found.get(k) for k in keys}, {k: expected.get(k) for k in keys}
    raise ToolkitError(
        f"ONNX file: {what} {found!r:.300}, expected {expected!r:.300}. It is not this bundle's; export it again."
    )
