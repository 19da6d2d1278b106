"""A torch module or program of other making, named as module:function, as the float64 reference of a graph."""

import copy
import importlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from export.graph.any_graph import Arrays, Signature
from export.proof.program import evaluate, output_names
from toolkit.errors import ToolkitError, first_line

Reference = torch.nn.Module | torch.export.ExportedProgram


def load_reference(spec: str) -> Reference:
    """What the function of `module:function` returns, called without arguments.

    Modules are found as Python finds them, those of the current folder first. Raises ToolkitError where there is no
    such function, where it fails, and unless it returns a torch module in evaluation mode or an exported program.
    """
    module, _, function = spec.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), function)()
    except Exception as error:  # whatever the code of others raises
        raise ToolkitError(
            f"{spec}: {type(error).__name__}: {first_line(error, 300)}. Expected module:function, a function without "
            "arguments that returns a torch module or an exported program."
        ) from None
    finally:
        sys.path.remove(str(Path.cwd()))
    if not isinstance(found, Reference):
        raise ToolkitError(f"{spec} returns {type(found).__name__}, expected a torch module or an exported program.")
    training = isinstance(found, torch.nn.Module) and [name for name, part in found.named_modules() if part.training]
    if training:
        raise ToolkitError(f"{spec}: {training[0] or 'the module'} is in training mode; call eval() in the function.")
    return found


@torch.inference_mode()
def run_reference(
    reference: Reference, arrays: Mapping[str, NDArray[Any]], signature: Signature, dtype: torch.dtype
) -> Arrays:
    """Outputs by the graph's names, of floating arrays in that dtype.

    Inputs go by name where the reference knows all the graph's names, else in the graph's order; outputs likewise.
    Raises ToolkitError where it cannot be run so, or gives another number of outputs or another dtype.
    """
    tensors = {name: torch.from_numpy(arrays[name]) for name in signature.inputs}
    tensors = {name: t.to(dtype) if t.is_floating_point() else t for name, t in tensors.items()}
    try:
        if isinstance(reference, torch.export.ExportedProgram):
            found = _of_program(reference, tensors, dtype)
        else:
            found = _of_module(copy.deepcopy(reference).to(dtype), tensors)
    except Exception as error:  # whatever the code of others raises
        raise ToolkitError(
            f"The reference does not run in {dtype} on inputs {', '.join(tensors)}: {type(error).__name__}: "
            f"{first_line(error, 300)}."
        ) from None
    if len(found) != len(signature.outputs):
        raise ToolkitError(
            f"The reference has {len(found)} outputs ({', '.join(found)}), the graph {len(signature.outputs)} "
            f"({', '.join(signature.outputs)}). Expected the same."
        )
    named = found if set(found) == set(signature.outputs) else dict(zip(signature.outputs, found.values(), strict=True))
    for name, value in named.items():
        if value.is_floating_point() and value.dtype != dtype:
            raise ToolkitError(
                f"Output {name} of the reference is {value.dtype} where all its inputs and weights are {dtype}: it "
                "sets a dtype of its own. Expected one that computes in the dtype of its inputs."
            )
    return {name: named[name].numpy() for name in signature.outputs}


def _of_program(
    program: torch.export.ExportedProgram, tensors: dict[str, torch.Tensor], dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    names = program.graph_signature.user_inputs
    known = set(names) == set(tensors)
    given = tuple(tensors[str(name)] for name in names) if known else tuple(tensors.values())
    if len(given) != len(names):
        raise ValueError(f"the program takes {len(names)} inputs ({', '.join(map(str, names))})")
    values = evaluate(program, given, dtype)
    return {name: torch.from_numpy(values[name]) for name in output_names(program)}


def _of_module(module: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    known = set(tensors) <= set(inspect.signature(module.forward).parameters)
    result = module(**tensors) if known else module(*tensors.values())
    if isinstance(result, Mapping):
        return dict(result)
    values = result if isinstance(result, tuple | list) else (result,)
    wrong = next((value for value in values if not isinstance(value, torch.Tensor)), None)
    if wrong is not None:
        raise TypeError(f"forward gives a {type(wrong).__name__}, expected tensors, in a tuple, a list or a dict")
    return {f"output {i}": value for i, value in enumerate(values)}
