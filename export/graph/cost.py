"""Bounds on the memory and time of a graph: both known from its shapes, and growing no faster than the batch."""

import math
from collections.abc import Mapping

import onnx
from onnx import ModelProto, NodeProto

from toolkit.errors import ToolkitError

LARGEST = 1 << 24
"""Most elements of one value that do not grow with the batch (a weight of ViT-B/16: 2.4 million)."""
LARGEST_A_BLOCK = 1 << 21
"""Most elements that one value grows by with each block (attention of ViT-B/16: 0.6 million)."""
PRODUCTS_A_BLOCK = 1 << 39
"""Most multiplications of the whole graph for each block (ViT-B/16: 1.8e10; eight views of it: 1.4e11)."""
BATCHES = (1, 2, 64, 1000)
"""Batch sizes at which the shapes are inferred; the last is the most blocks that one call takes in use."""
_SMALL = 1 << 12
_UNBOUNDED = {
    "Einsum", "Loop", "Scan", "If", "SequenceMap", "LSTM", "GRU", "RNN", "DFT", "STFT", "Det", "NonMaxSuppression",
    "DeformConv", "RoiAlign", "MaxRoiPool", "GlobalLpPool", "LpPool", "LRN", "MaxUnpool", "RandomNormal",
    "RandomUniform", "Multinomial", "StringNormalizer",
}  # fmt: skip
"""Operators, written by no exporter of ours, whose work does not follow from the shapes of their inputs and outputs."""
Shape = tuple[int, ...]


def check_cost(proto: ModelProto) -> None:
    """Raise ToolkitError unless shapes bound what the graph takes.

    Every value has a known shape at each of BATCHES. Elements and multiplications grow no faster than linearly with the
    batch, and stay below the bounds above.
    """
    strange = sorted({node.op_type for node in proto.graph.node} & _UNBOUNDED)
    if strange:
        raise _refused(f"operators {', '.join(strange)}, whose cost no shape bounds")
    found = [_elements_and_products(proto, batch) for batch in BATCHES]
    one, last = found[0], found[-1]
    for name, (elements, _) in one.items():
        grown = (last[name][0] - elements) / (BATCHES[-1] - 1)
        if elements > LARGEST or grown > LARGEST_A_BLOCK:
            raise _refused(
                f"values of a size that no block needs: {name!r:.80} of {elements} elements, and {grown:.0f} a block "
                f"(at most {LARGEST} and {LARGEST_A_BLOCK})"
            )
    for batch, sizes in zip(BATCHES, found, strict=True):
        for name, counts in sizes.items():
            for what, count, alone in zip(("elements", "multiplications"), counts, one[name], strict=True):
                if count > batch * alone:
                    raise _refused(
                        f"{name!r:.80} takes {alone} {what} for one block and {count} for {batch}: more than the "
                        "batch grows"
                    )
    products = sum(count for _, count in last.values()) / BATCHES[-1]
    if products > PRODUCTS_A_BLOCK:
        raise _refused(f"{products:.3g} multiplications a block, more than {PRODUCTS_A_BLOCK:.3g}")


def _refused(reason: str) -> ToolkitError:
    return ToolkitError(f"ONNX file: {reason}. It is not this bundle's; export it again.")


def _elements_and_products(proto: ModelProto, batch: int) -> dict[str, tuple[int, int]]:
    """Elements of every node's outputs, and multiplications that each takes, at this batch; by the output's name."""
    shapes = _shapes(proto, batch)
    result = {}
    for node in proto.graph.node:
        for name in filter(None, node.output):
            if name not in shapes:
                raise _refused(f"{name!r:.80} ({node.op_type}) has no shape that is known before it runs")
            elements = math.prod(shapes[name])
            result[name] = elements, _products(node, shapes, elements)
    return result


def _products(node: NodeProto, shapes: Mapping[str, Shape], elements: int) -> int:
    """Multiplications of a node whose output has so many elements; of other operators, elements that it visits."""
    inputs = [shapes.get(name, ()) for name in node.input]
    read = max((math.prod(shape) for shape in inputs), default=0)
    if node.op_type in ("Conv", "ConvInteger"):
        return elements * math.prod(inputs[1][1:])
    if node.op_type == "QLinearConv":
        return elements * math.prod(inputs[3][1:])
    if node.op_type == "ConvTranspose":
        return math.prod(inputs[0]) * math.prod(inputs[1][1:])
    if node.op_type == "Gemm":
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return elements * inputs[0][0 if transposed else -1]
    if node.op_type in ("MatMul", "MatMulInteger", "QLinearMatMul"):
        return elements * inputs[0][-1]
    if node.op_type in ("MaxPool", "AveragePool"):
        return elements * math.prod(next((a.ints for a in node.attribute if a.name == "kernel_shape"), ()))
    return max(elements, read)


def _shapes(proto: ModelProto, batch: int) -> dict[str, Shape]:
    """Known shapes of all values at this batch; ToolkitError where inference meets a contradiction."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    del copy.graph.value_info[:]  # written by whoever wrote the file: inferred anew instead
    for value in (*copy.graph.input, *copy.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    for weight in copy.graph.initializer:
        if math.prod(weight.dims) > _SMALL:  # its shape matters alone
            weight.ClearField("raw_data")
    try:
        graph = onnx.shape_inference.infer_shapes(copy, strict_mode=True, data_prop=True).graph
    except Exception as error:  # shape inference raises several kinds
        raise _refused(f"shapes that contradict each other at a batch of {batch} ({str(error)[:200]!r})") from None
    found = {weight.name: tuple(weight.dims) for weight in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        known = value.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims)
        if known:
            found[value.name] = tuple(d.dim_value for d in dims)
    return found
