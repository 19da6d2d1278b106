"""Export from PyTorch to ONNX: one file, any batch size, scaling inside the graph, every property asserted."""

import logging
import warnings

import onnx
import torch
from onnx import ModelProto

from export.graph.check import OPSET, check_onnx
from export.graph.contract import Contract
from toolkit.errors import ToolkitError
from toolkit.model.network import Classifier


def export_onnx(model: Classifier) -> bytes:
    """Export the model as one ONNX file, checked against its contract. Writes nothing to disk or stdout.

    Raises ToolkitError for a model in training mode (dropout, batch statistics) or on the GPU, and for a graph that
    departs from the contract.
    """
    training = [name or "the model" for name, module in model.named_modules() if module.training]
    if training:
        raise ToolkitError(
            f"Export: {training[0]} is in training mode (dropout and batch statistics would be exported); call eval()."
        )
    contract = Contract.of(model.config)
    proto: ModelProto = export_program(model).model_proto
    _strip(proto)
    proto.graph.name = f"av1part stage {contract.stage}"
    onnx.helper.set_model_props(proto, contract.metadata())
    data: bytes = proto.SerializeToString(deterministic=True)
    check_onnx(data, contract)
    return data


def export_program(model: Classifier) -> torch.onnx.ONNXProgram:
    """Export by torch: the graph, and the PyTorch program behind it with the same value names."""
    contract = Contract.of(model.config)
    batch = torch.export.Dim("batch", min=1)
    # At least two rows: torch would take a batch of one for a constant.
    luma = torch.full((2, *contract.window.shape), float(1 << (contract.bit_depth - 1)))
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own deprecations, and two axes with one name
            program = torch.onnx.export(
                model,
                (luma, torch.full((2, 1), 128.0)),
                dynamo=True,
                external_data=False,
                dynamic_shapes={name: {0: batch} for name in contract.inputs()},
                opset_version=OPSET,
                input_names=list(contract.inputs()),
                output_names=list(contract.outputs()),
                verbose=False,
            )
    finally:
        logger.setLevel(level)
    if program is None:
        raise ToolkitError("Export: torch.onnx.export gave no program; expected one with dynamo=True.")
    return program


def _strip(proto: ModelProto) -> None:
    """Remove torch's notes on every node and value: absolute source paths and stack traces."""
    graph = proto.graph
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]
    proto.doc_string = ""
