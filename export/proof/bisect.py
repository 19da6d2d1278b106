"""Search for the first node of a wrong graph whose output departs from the float64 PyTorch model's."""

from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper

from export.compare.budget import reference_logits
from export.compare.flops import affordable, thinned
from export.compare.verdict import RMS_FACTOR
from export.graph.export import export_program
from export.graph.runtime import open_session, run_session
from export.proof.program import Values, evaluate
from toolkit.data.blockset import Blocks
from toolkit.errors import ToolkitError
from toolkit.model.network import Classifier, to_input

BLOCKS = 16


class Culprit(TypedDict):
    """The first wrong node. `module`, RMS `error` and `allowed` are missing for a node that PyTorch does not have."""

    name: str
    operator: str
    output: str
    inputs: list[str]
    module: NotRequired[str]
    error: NotRequired[float | str]
    allowed: NotRequired[float]


class Bisection(TypedDict):
    """Whether and where a graph departs from float64; `node` is missing where it does not, or does not even run."""

    departs: bool
    message: str
    node: NotRequired[Culprit]


@dataclass(frozen=True)
class _Reference:
    """PyTorch's values by name, in float64 and float32, and the module that computes each."""

    double: Values
    single: Values
    modules: dict[str, str]

    def departs(self, name: str, found: NDArray[Any]) -> tuple[float, float] | None:
        """(RMS error, allowed) of a value further from float64 than 4 times PyTorch float32's error; else None."""
        exact = self.double[name]
        if found.shape != exact.shape:
            return float("inf"), 0.0
        ulp, tiny = float(np.finfo(np.float32).eps), float(np.finfo(np.float32).tiny)
        allowed = RMS_FACTOR * max(_rms(self.single[name] - exact), ulp * _rms(exact) + tiny)
        error = _rms(found - exact)
        return None if error <= allowed else (error, allowed)  # NaN departs


def bisect(model: Classifier, graph: bytes, blocks: Blocks) -> Bisection:
    """Run the graph on the CPU with every value as an output, and PyTorch's own program in float64 beside it.

    Names the first wrong node in the graph's order: an operator that PyTorch does not have, or one whose output is
    wrong. Raises ToolkitError for a graph that is not our export: its values must bear the names of PyTorch's program.
    """
    # Every value of a large model for many blocks would fill the memory.
    part = thinned(blocks, min(BLOCKS, max(2, affordable(model, blocks) // BLOCKS)))
    reference = _reference(model, part)
    proto = onnx.load_model_from_string(graph)
    found = _run_with_every_value(proto, part)
    producers = {output: node for node in proto.graph.node for output in node.output}
    if not set(producers) & set(reference.double) - {"logits"}:
        raise ToolkitError("Bisect: no value of the graph bears a name of the PyTorch program's; it is not our export.")
    for node in proto.graph.node:
        for output in node.output:
            departure = (
                reference.departs(output, found[output]) if {output} <= found.keys() & reference.double else None
            )
            if departure:
                return _answer(_culprit(output, producers, found, reference), reference, found)
    return {"departs": False, "message": f"Every layer agrees with float64 on {len(part)} blocks on the CPU."}


def _culprit(output: str, producers: dict[str, NodeProto], found: Values, reference: _Reference) -> NodeProto:
    """The node that made a departing value, or the first one before it that PyTorch lacks and that changes a value."""
    strangers: list[NodeProto] = []

    def look(name: str) -> None:
        node = producers.get(name)
        if node is None or name in reference.double:
            return
        for before in node.input:
            look(before)
        if not _known(found.get(name), reference):
            strangers.append(node)

    node = producers[output]
    for before in node.input:
        look(before)
    return strangers[0] if strangers else node


def _known(value: NDArray[Any] | None, reference: _Reference) -> bool:
    """Whether PyTorch computes the same value under another name."""
    if value is None:
        return False
    return any(
        exact.shape == value.shape and reference.departs(n, value) is None for n, exact in reference.double.items()
    )


def _answer(node: NodeProto, reference: _Reference, found: Values) -> Bisection:
    output = node.output[0]
    place: Culprit = {"name": node.name, "operator": node.op_type, "output": output, "inputs": list(node.input)}
    if output not in reference.double:
        message = f"{node.op_type} node {node.name!r} (output {output!r}) is not in the PyTorch model and changes it."
        return {"departs": True, "node": place, "message": message}
    error, allowed = reference.departs(output, found[output]) or (0.0, 0.0)
    module = reference.modules.get(output, "")
    place["module"], place["allowed"] = module, allowed
    place["error"] = error if np.isfinite(error) else str(error)
    message = (
        f"{node.op_type} node {node.name!r} (output {output!r}, PyTorch's {module or 'forward'}) is the first to "
        f"depart from float64: RMS error {error:.3g}, allowed {allowed:.3g}."
    )
    return {"departs": True, "node": place, "message": message}


def _reference(model: Classifier, blocks: Blocks) -> _Reference:
    program = export_program(model).exported_program
    if program is None:
        raise ToolkitError("Bisect: torch.onnx.export kept no program of the PyTorch model.")
    values = {
        dtype: evaluate(program, to_input(*blocks.inputs, config=model.config, dtype=dtype), dtype)
        for dtype in (torch.float64, torch.float32)
    }
    exact = reference_logits(model, blocks)
    if not np.allclose(values[torch.float64]["logits"], exact, rtol=1e-9, atol=1e-9):
        raise ToolkitError("Bisect: PyTorch's exported program does not compute what its model does.")
    stacks = {n.name: n.meta.get("nn_module_stack") for n in program.graph.nodes}
    modules = {name: next(reversed(stack.values()))[0] for name, stack in stacks.items() if stack}
    return _Reference(values[torch.float64], values[torch.float32], modules)


def _run_with_every_value(proto: ModelProto, blocks: Blocks) -> Values:
    """Every float32 value of the graph, by name."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    inferred = onnx.shape_inference.infer_shapes(copy).graph.value_info
    floats = [v.name for v in inferred if v.type.tensor_type.elem_type == TensorProto.FLOAT]
    copy.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in floats)
    session, _ = open_session(copy.SerializeToString(), "cpu", None)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, run_session(session, names, *blocks.inputs), strict=True))


def _rms(values: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
