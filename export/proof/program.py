"""The program that PyTorch exports, evaluated node by node in float64 or float32."""

from collections.abc import Iterator
from typing import Any

import torch
from numpy.typing import NDArray

Values = dict[str, NDArray[Any]]


class _Recorder(torch.fx.Interpreter):
    """Interpreter that runs a program node by node and keeps every tensor."""

    def __init__(self, module: torch.fx.GraphModule) -> None:
        super().__init__(module)
        self.values: Values = {}

    def run_node(self, n: torch.fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, torch.Tensor):
            self.values[n.name] = value.detach().numpy().copy()
        return value


@torch.inference_mode()
def evaluate(program: torch.export.ExportedProgram, inputs: tuple[torch.Tensor, ...], dtype: torch.dtype) -> Values:
    """Every value of the program by name, its inputs, weights and constants in that dtype.

    Its first output is named `logits` too, as in a graph of ours.
    """
    state = {**program.state_dict, **program.constants}
    given: Iterator[torch.Tensor] = iter(inputs)
    arguments = []
    for spec in program.graph_signature.input_specs:
        if spec.kind is torch.export.graph_signature.InputKind.USER_INPUT:
            arguments.append(next(given))
            continue
        value = state[str(spec.target)]
        arguments.append(value.to(dtype) if value.is_floating_point() else value)
    recorder = _Recorder(program.graph_module)
    recorder.run(*arguments)
    return {**recorder.values, "logits": recorder.values[output_names(program)[0]]}


def output_names(program: torch.export.ExportedProgram) -> list[str]:
    """Names of the values that the program returns, in its order."""
    return [str(name) for name in program.graph_signature.user_outputs]
