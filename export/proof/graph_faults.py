"""Faults that happen in practice, planted in a copy of an exported graph."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from export.graph.contract import Contract


class NotApplicable(Exception):
    """Raised where the graph has no place for a fault, which then is neither caught nor missed."""


def scaled_kernel(proto: ModelProto) -> None:
    """Make the strongest kernel of the first convolution 1% too strong."""
    node = next((n for n in proto.graph.node if n.op_type == "Conv"), None)
    if node is None:
        raise NotApplicable("the graph has no convolution")
    weight = _initializers(proto)[node.input[1]]
    kernels = numpy_helper.to_array(weight).copy()
    strongest = np.square(kernels).sum(axis=tuple(range(1, kernels.ndim))).argmax()
    kernels[strongest] *= 1.01
    weight.CopyFrom(numpy_helper.from_array(kernels, weight.name))


def scale_off_by_one(proto: ModelProto) -> None:
    """Divide luma by 2**bit_depth instead of 2**bit_depth - 1."""
    peak = json.loads(_metadata(proto)["av1part"])["input_range"][1]
    _after_input(proto, "luma", "Mul", np.float32(peak / (peak + 1)))


def transposed_input(proto: ModelProto) -> None:
    """Swap rows and columns of the block."""
    _after_input(proto, "luma", "Transpose", perm=[0, 1, 3, 2])


def dropped_qindex(proto: ModelProto) -> None:
    """Multiply the qindex by 0, so that the network never sees it."""
    _after_input(proto, "qindex", "Mul", np.float32(0))


def permuted_classes(proto: ModelProto) -> None:
    """Put the classes of the output in another order."""
    classes = proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    for node in proto.graph.node:
        node.output[:] = ["logits_before" if o == "logits" else o for o in node.output]
        node.input[:] = ["logits_before" if i == "logits" else i for i in node.input]
    order = np.roll(np.arange(classes, dtype=np.int64), 1)
    proto.graph.initializer.append(numpy_helper.from_array(order, "planted_order"))
    proto.graph.node.append(helper.make_node("Gather", ["logits_before", "planted_order"], ["logits"], axis=1))


def moved_weights(proto: ModelProto) -> None:
    """Move every weight by about 0.1%."""
    rng = np.random.default_rng(0)
    for tensor in proto.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim > 1:
            moved = values * (1 + 1e-3 * rng.standard_normal(values.shape)).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(moved, tensor.name))


def other_metadata(proto: ModelProto) -> None:
    """Give the graph another bundle's metadata: the same classes, the other bit depth."""
    own = Contract.from_dict(json.loads(_metadata(proto)["av1part"]), "metadata")
    helper.set_model_props(proto, replace(own, bit_depth=10 if own.bit_depth == 8 else 8).metadata())


FAULTS: dict[str, Callable[[ModelProto], None]] = {
    "one kernel 1% too strong": scaled_kernel,
    "luma divided by its peak + 1": scale_off_by_one,
    "input transposed": transposed_input,
    "qindex dropped": dropped_qindex,
    "classes permuted": permuted_classes,
    "every weight 0.1% off": moved_weights,
    "metadata of another bundle": other_metadata,
}


def _metadata(proto: ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in proto.metadata_props}


def _initializers(proto: ModelProto) -> dict[str, TensorProto]:
    return {tensor.name: tensor for tensor in proto.graph.initializer}


def _after_input(proto: ModelProto, name: str, operator: str, operand: Any = None, **attributes: Any) -> None:
    """Put an operator between a graph input and every node that reads it."""
    readers = [node for node in proto.graph.node if name in node.input]
    if not readers:
        raise NotApplicable(f"no node reads {name}")
    planted = f"planted_{name}"
    for node in readers:
        node.input[:] = [planted if i == name else i for i in node.input]
    inputs = [name]
    if operand is not None:
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(operand), f"{planted}_operand"))
        inputs.append(f"{planted}_operand")
    new: NodeProto = helper.make_node(operator, inputs, [planted], **attributes)
    proto.graph.node.insert(0, new)
