"""A graph with inputs and output bound to buffers on the provider's device, where raw integers are cast."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from export.graph.contract import Contract
from export.graph.runtime import open_session, ort, running
from toolkit.data.blockset import Luma, check_luma, luma_dtype
from toolkit.errors import ToolkitError

_DEVICES = {"cpu": "cpu", "cuda": "cuda", "tensorrt": "cuda"}


class BoundModel:
    """One call of a fixed number of blocks: copied to the device as integers, run there, logits copied back.

    ONNX Runtime's IO binding. Buffers are allocated once, so that a frame costs one copy in, one run and one copy out;
    8-bit luma travels as one byte a pixel where `RuntimeModel` sends four. Logits as of `RuntimeModel.one_call`.
    """

    def __init__(
        self,
        model: bytes,
        contract: Contract,
        batch: int,
        provider: str = "cpu",
        threads: int | None = None,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Allocate buffers for calls of `batch` blocks; the rest, and the errors, as of `RuntimeModel`."""
        if batch < 1:
            raise ToolkitError(f"{batch} blocks a call: expected at least 1.")
        self.contract = contract
        self._session, self.placement = open_session(with_raw_inputs(model, contract), provider, threads, options)
        luma, qindex, logits = _shapes(contract, batch)
        make = ort.OrtValue.ortvalue_from_shape_and_type
        device = _DEVICES[provider]
        self._luma = make(luma, luma_dtype(contract.bit_depth).type, device, 0)
        self._qindex = make(qindex, np.uint8, device, 0)
        self._logits = make(logits, np.float32, device, 0)
        self._binding = self._session.io_binding()
        self._binding.bind_ortvalue_input("luma", self._luma)
        self._binding.bind_ortvalue_input("qindex", self._qindex)
        self._binding.bind_ortvalue_output("logits", self._logits)

    def logits(self, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (batch, classes) of raw luma code values (batch, 1, S, S) at qindex (batch,) uint8.

        Raises ToolkitError on floats (scaled data), another shape or values outside the bit depth.
        """
        check_luma(luma, self.contract.bit_depth, "Model input")
        expected = tuple(self._luma.shape())
        if luma.shape != expected or qindex.shape != expected[:1] or qindex.dtype != np.uint8:
            raise ToolkitError(
                f"Model input: luma {luma.shape}, qindex {qindex.dtype}{qindex.shape}; bound are luma {expected}, "
                f"qindex uint8({expected[0]},). Bind another model for another number of blocks."
            )
        with running():
            self._luma.update_inplace(np.ascontiguousarray(luma))
            self._qindex.update_inplace(np.ascontiguousarray(qindex[:, None]))
            self._session.run_with_iobinding(self._binding)
            result: NDArray[np.float32] = self._logits.numpy().copy()  # on the CPU it is the buffer itself
        return result


def with_raw_inputs(model: bytes, contract: Contract) -> bytes:
    """Give the graph integer inputs (luma uint8, above 8 bit uint16; qindex uint8), cast to float32 by its first nodes.

    The casts are exact. Made from the sealed bytes for each run, like the float16 copy, and never stored.
    """
    proto = onnx.load_model_from_string(model)
    kinds = {"luma": TensorProto.UINT8 if contract.bit_depth == 8 else TensorProto.UINT16, "qindex": TensorProto.UINT8}
    casts = []
    for name in kinds:
        for node in proto.graph.node:
            node.input[:] = [f"{name}_float" if used == name else used for used in node.input]
        casts.append(helper.make_node("Cast", [name], [f"{name}_float"], name=f"{name}_cast", to=TensorProto.FLOAT))
    for index, cast in enumerate(casts):
        proto.graph.node.insert(index, cast)
    for value in proto.graph.input:
        value.type.tensor_type.elem_type = kinds[value.name]
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def _shapes(contract: Contract, batch: int) -> list[list[int]]:
    """Shapes of luma, qindex and logits for `batch` blocks."""
    shapes = [*contract.inputs().values(), *contract.outputs().values()]
    return [[size if isinstance(size, int) else batch for size in shape] for shape in shapes]
