"""ONNX files of other making: finding their inputs and output, and running our blocks through them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from export.graph.contract import Contract
from export.proof.config import ForeignConfig
from toolkit.data.blockset import Luma, check_input
from toolkit.errors import ToolkitError, first_line
from toolkit.files import open_file, sha256_file

DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
_FATAL_ONLY = 4


@dataclass(frozen=True)
class Input:
    """One input: its name, type and shape. A size of None stands for any."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} ({', '.join('any' if d is None else str(d) for d in self.shape)})"


class ForeignModel:
    """A graph of other making in an ONNX Runtime session on the CPU.

    `config` names its inputs and output; the rest is found by shape. `batch`: its fixed batch size, None for any.
    `files`: sha256 of the file and of every file of weights beside it.
    """

    def __init__(self, path: Path, contract: Contract, config: ForeignConfig) -> None:
        """Open the graph and find its inputs and output.

        Raises ToolkitError for a file that is no ONNX or keeps weights elsewhere, and for an input or output that is
        ambiguous or does not fit our blocks; the message lists the graph's own.
        """
        self.contract, self.config = contract, config
        self.files = files_of(path)
        self._session = _open(path)
        self.inputs = [_input(value, str(path)) for value in self._session.get_inputs()]
        listed = f"{path}: inputs {'; '.join(map(str, self.inputs))}"
        size = contract.window.size
        self.luma = self._choose(config.luma, [i for i in self.inputs if _layouts(i, size)], "--luma-input", listed)
        others = [i for i in self.inputs if i != self.luma]
        self.qindex = self._choose(config.qindex, others, "--qindex-input", listed) if others or config.qindex else None
        if len(others) > 1:
            raise ToolkitError(f"{listed}. Expected luma and at most a qindex.")
        if contract.qindex and self.qindex is None:
            raise ToolkitError(f"{listed}: none takes the qindex, which the checkpoint's network uses.")
        layouts = [config.layout] if config.layout else _layouts(self.luma, size)
        if len(layouts) != 1 or layouts[0] not in _layouts(self.luma, size):
            raise ToolkitError(f"{listed}: {self.luma.name} is no {config.layout or 'one'} layout. Pass --layout.")
        self.layout = layouts[0]
        self.batch = self.luma.shape[0]
        self.output = self._output(str(path))
        whole = np.issubdtype(self.luma.dtype, np.integer)
        if whole and (config.input_scale != 1 or (contract.bit_depth > 8 and self.luma.dtype == np.uint8)):
            raise ToolkitError(f"{listed}: {self.luma.name} takes whole numbers, not these scaled or deeper ones.")

    @staticmethod
    def _choose(name: str | None, candidates: list[Input], option: str, listed: str) -> Input:
        found = candidates if name is None else [i for i in candidates if i.name == name]
        if len(found) != 1:
            what = f"no {name!r} that fits" if name else f"{len(found)} that fit"
            raise ToolkitError(f"{listed}: {what}; expected exactly one. Name it with {option}.")
        return found[0]

    def _output(self, path: str) -> str:
        outputs = self._session.get_outputs()
        wanted = {len(self.contract.classes), *((1,) if self.contract.stage == "1" else ())}
        fits = [o for o in outputs if len(o.shape) <= 2 and (not o.shape[1:] or o.shape[-1] in wanted or _any(o))]
        fits = [o for o in fits if self.config.output in (None, o.name)]
        if len(fits) != 1:
            listed = "; ".join(f"{o.name} {o.shape}" for o in outputs)
            raise ToolkitError(
                f"{path}: outputs {listed}: {len(fits)} could be logits of {', '.join(self.contract.classes)}; "
                "expected exactly one. Name it with --output-name."
            )
        return str(fits[0].name)

    def logits(self, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Logits (N, classes) of integer windows (N, 1, S, S) at qindex (N,), in one call or in calls of `batch`.

        Raises ToolkitError where the graph cannot run, or its output has another shape.
        """
        check_input(luma, qindex, self.contract.bit_depth, self.contract.window)
        count = len(luma)
        size = self.batch or count
        parts = []
        for start in range(0, count, size):
            index = np.minimum(np.arange(start, start + size), count - 1)  # repeats the last block to fill a batch
            parts.append(self._call(luma[index], qindex[index]))
        result = np.concatenate(parts)[:count]
        if self.contract.stage == "1" and result.shape == (count, 1):
            result = np.pad(result, ((0, 0), (1, 0)))  # its single logit z stands for [0, z]
        return result

    def _call(self, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float64]:
        feed = {self.luma.name: self._luma(luma)}
        if self.qindex:
            value = (qindex * self.config.qindex_scale).astype(self.qindex.dtype)
            feed[self.qindex.name] = value if len(self.qindex.shape) == 1 else value[:, None]
        try:
            (found,) = self._session.run([self.output], feed)
        except Exception as error:  # ONNX Runtime's errors have no base of their own
            raise ToolkitError(f"The graph does not run: {first_line(error)}.") from None
        return np.asarray(found, np.float64).reshape(len(luma), -1)

    def _luma(self, luma: Luma) -> NDArray[Any]:
        values = (luma * np.float64(self.config.input_scale)).astype(self.luma.dtype)
        if self.layout == "nchw":
            return np.repeat(values, self.luma.shape[1] or 1, axis=1)
        if self.layout == "nhwc":
            return np.repeat(values.transpose(0, 2, 3, 1), self.luma.shape[3] or 1, axis=3)
        return values[:, 0] if self.layout == "nhw" else values.reshape(len(values), -1)


def _layouts(value: Input, size: int) -> list[str]:
    """Layouts that fit this shape, for luma of size x size in one channel or as grey in three."""
    shapes: dict[str, tuple[tuple[int, ...], ...]] = {
        "nchw": ((1, 3), (size,), (size,)),
        "nhwc": ((size,), (size,), (1, 3)),
        "nhw": ((size,), (size,)),
        "flat": ((size * size,),),
    }
    own = value.shape[1:]
    return [
        name
        for name, sizes in shapes.items()
        if len(own) == len(sizes) and all(d is None or d in fit for d, fit in zip(own, sizes, strict=True))
    ]


def _any(value: Any) -> bool:
    return not isinstance(value.shape[-1], int)


def _input(value: Any, path: str) -> Input:
    if value.type not in DTYPES:
        raise ToolkitError(f"{path}: input {value.name} is {value.type}, expected one of {', '.join(DTYPES)}.")
    shape = tuple(d if isinstance(d, int) and d > 0 else None for d in value.shape)
    return Input(value.name, np.dtype(DTYPES[value.type]), shape)


def files_of(path: Path) -> dict[str, str]:
    """Hashes of the model's file and of the weights beside it; ToolkitError for weights elsewhere."""
    try:
        with open_file(path) as file:
            proto = onnx.load_model_from_string(file.read())
    except ToolkitError:
        raise
    except FileNotFoundError:
        raise ToolkitError(f"{path}: no such file.") from None
    except Exception as error:  # protobuf's errors and OSError
        raise ToolkitError(f"{path}: no ONNX file ({first_line(error, 200)}).") from None
    names = {e.value for t in proto.graph.initializer for e in t.external_data if e.key == "location"}
    for name in names:
        beside = path.parent / name
        if Path(name).name != name or beside.is_symlink() or not beside.is_file():
            raise ToolkitError(f"{path}: its weights lie in {name!r:.80}, expected a file beside it. Bring it there.")
    return {path.name: sha256_file(path)} | {name: sha256_file(path.parent / name) for name in sorted(names)}


def _open(path: Path) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL_ONLY  # errors are raised as well
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ToolkitError(f"{path}: ONNX Runtime cannot load it ({first_line(error)}).") from None
