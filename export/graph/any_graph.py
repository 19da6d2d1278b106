"""Graphs of any making: what their inputs and outputs are, and sessions that take and give them by row."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from export.graph import plug_ins
from export.graph.runtime import PROVIDERS, open_session, running
from toolkit.errors import ToolkitError

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Tensor:
    """One input or output of a graph: NumPy type and shape, in which None stands for any size."""

    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]

    @property
    def batched(self) -> bool:
        """Whether its first axis is of any size: then it counts the rows."""
        return self.shape[:1] == (None,)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array may have this shape."""
        sizes = zip(self.shape, shape, strict=False)
        return len(self.shape) == len(shape) and all(size in (None, own) for size, own in sizes)

    def __str__(self) -> str:
        return f"{self.dtype} ({', '.join('any' if size is None else str(size) for size in self.shape)})"


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a graph by name, in its order."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]

    @classmethod
    def of(cls, model: bytes) -> "Signature":
        """Read it from a graph that `onnx` can parse."""
        graph = onnx.load_model_from_string(model).graph
        weights = {tensor.name for tensor in graph.initializer}
        inputs = {value.name: _tensor(value) for value in graph.input if value.name not in weights}
        return cls(inputs, {value.name: _tensor(value) for value in graph.output})

    @property
    def batched(self) -> tuple[str, ...]:
        """Inputs that hold a value for each row; the others are given whole to every call."""
        return tuple(name for name, value in self.inputs.items() if value.batched)

    def check(self, arrays: Mapping[str, NDArray[Any]]) -> int:
        """Number of rows of the arrays; ToolkitError unless they are exactly the graph's inputs."""
        listed = "; ".join(f"{name} {value}" for name, value in self.inputs.items())
        found = "; ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items())
        if set(arrays) != set(self.inputs):
            raise ToolkitError(f"The graph takes {listed}; the file holds {found}. Give every input under its name.")
        for name, value in self.inputs.items():
            array = arrays[name]
            if not value.fits(array.shape) or array.dtype != value.dtype:
                raise ToolkitError(f"Input {name}: {array.dtype} {array.shape}, the graph takes {value}.")
        rows = {name: len(arrays[name]) for name in self.batched}
        if len(set(rows.values())) > 1 or 0 in rows.values():
            raise ToolkitError(f"Rows of the inputs: {rows}; expected the same number in each, at least one.")
        return next(iter(rows.values()), 1)

    def check_outputs(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Raise ToolkitError unless the arrays may be the graph's outputs by their shapes."""
        for name, value in self.outputs.items():
            if not value.fits(arrays[name].shape):
                raise ToolkitError(f"Output {name}: the reference gives shape {arrays[name].shape}, the graph {value}.")


class AnyGraph:
    """A session of a graph on one provider. `placement`, `device`: as of `RuntimeModel`."""

    def __init__(
        self,
        model: bytes,
        provider: str,
        whole: Mapping[str, NDArray[Any]],
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Open it. `whole`: the inputs that every call takes as they are. Errors as of `open_session`."""
        self._signature = Signature.of(model)
        self._whole = dict(whole)
        self._session, self.placement = open_session(model, provider, None, options)
        other = {} if provider in PROVIDERS else plug_ins.describe(provider)
        self.device: dict[str, str] = getattr(self._session, "device", other)
        name = PROVIDERS.get(provider, provider)
        self.provider_options: dict[str, str] = self._session.get_provider_options().get(name, {})

    def outputs(self, *batched: NDArray[Any]) -> Arrays:
        """Outputs by name of one call. `batched`: the inputs of `Signature.batched`, in their order."""
        feed = self._whole | dict(zip(self._signature.batched, batched, strict=False))
        with running():
            found = self._session.run(list(self._signature.outputs), feed)
        return dict(zip(self._signature.outputs, found, strict=True))

    def one_call(self, *batched: NDArray[Any]) -> NDArray[np.float64]:
        """Outputs of one call as `as_rows` has them; ToolkitError where one has not a row for each of the inputs'."""
        rows = len(batched[0]) if self._signature.batched else None
        return np.concatenate([as_rows(name, values, rows) for name, values in self.outputs(*batched).items()], axis=1)


def as_rows(name: str, values: NDArray[Any], rows: int | None) -> NDArray[np.float64]:
    """An output as float64 (rows, numbers); of a graph without rows (None) all of it is one."""
    if rows is not None and values.shape[:1] != (rows,):
        raise ToolkitError(f"Output {name}: shape {values.shape} of {rows} rows; expected them on its first axis.")
    return np.asarray(values, np.float64).reshape(rows or 1, -1)


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    tensor = value.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except (KeyError, TypeError, ValueError):
        raise ToolkitError(f"{value.name}: no tensor of numbers. Expected an array's type.") from None
    return Tensor(dtype, shape)
