"""Proof of a pruner: the C hook, ONNX Runtime and the float64 reference predict alike on held-out rows.

No price is in it. What is within BUDGET decides alike at every price wherever the margin is above twice BUDGET.
"""

import ctypes
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from export.pruner.graph import output_name
from integration.codec import native
from integration.codec.libaom_build import libraries
from integration.pruning.bundle import Proven, ProvenModel
from toolkit.errors import ToolkitError
from toolkit.pruners.pruner import MAGIC, Key, Pruner
from toolkit.search.table import DECISIONS, FEATURES, IN_KEY_FRAMES

BUDGET = 1e-4
"""Most by which ONNX Runtime, which sums in float32, may depart from the reference (in the log of loss or time). Trees
of this size depart by about 1e-6; one leaf that is missed, by 1e-2 and more."""
Rows = Mapping[Key, NDArray[np.float32]]
"""Held-out features (N, all features) by node size and decision."""


@dataclass(frozen=True)
class ModelProof:
    """What one node size and decision gave: rows compared, differences of each form.

    The C hook sums in the reference's order in float64, so that its predictions must be equal to the bit.
    """

    side: int
    decision: str
    rows: int
    native_differs: int
    onnx_largest: float

    @property
    def passed(self) -> bool:
        return self.rows > 0 and not self.native_differs and self.onnx_largest <= BUDGET


def prove(pruner: Pruner, data: bytes, graph: bytes, rows: Rows) -> Proven:
    """Compare the forms on every size and decision of the pruner; the manifest's `proof`, JSON-ready.

    `data` and `graph` are the native and the ONNX form as they will ship. Raises ToolkitError where a size and decision
    has no held-out row: a comparison of nothing proves nothing.
    """
    import onnxruntime as ort

    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found = []
    for key in sorted(pruner.models):
        own = rows.get(key)
        if own is None or not len(own):
            raise ToolkitError(f"No held-out row of {key[1]} at {key[0]}x{key[0]} nodes. Record more held-out sources.")
        reference = pruner.models[key].predict(own)
        onnx = session.run([output_name(*key)], {"features": own})[0].astype(np.float64)
        found.append(
            ModelProof(
                side=key[0],
                decision=key[1],
                rows=len(own),
                native_differs=int((NativeModel(data, key).predict(own) != reference).any(axis=1).sum()),
                onnx_largest=float(np.abs(onnx - reference).max()),
            )
        )
    return {
        "passed": all(c.passed for c in found),
        "rows": sum(c.rows for c in found),
        "onnxruntime": ort.__version__,
        "budget": BUDGET,
        "comparisons": [cast(ProvenModel, asdict(c)) for c in found],
    }


@dataclass(frozen=True)
class NativeModel:
    """One model of the bytes that the C hook reads, for a node size and decision."""

    data: bytes
    key: Key

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log of loss and log of time (rows, 2) as the hook predicts them; ToolkitError on bytes that it refuses."""
        library = native.load(libraries().hook)
        features = np.ascontiguousarray(self._known(features), np.float32)
        result = np.full((len(features), 2), np.nan)
        pointers = features.ctypes.data_as(ctypes.c_void_p), result.ctypes.data_as(ctypes.c_void_p)
        side, decision = self.key
        status = library.av1part_pruner_evaluate(
            self.data, len(self.data), side, DECISIONS.index(decision), pointers[0], len(features), pointers[1]
        )
        if status:
            raise ToolkitError(f"The hook refuses the pruner: {native.explain(library, status, None)}.")
        return result

    def _known(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features that the model knows: one of key frames takes its own of the rows of inter frames.

        Raises ToolkitError where the rows have another number: C trusts their length.
        """
        number = int.from_bytes(self.data[len(MAGIC) : len(MAGIC) + 4], "little")
        if number == len(IN_KEY_FRAMES) and features.shape[1] == len(FEATURES):
            return features[:, IN_KEY_FRAMES]
        if self.data.startswith(MAGIC) and number != features.shape[1]:
            raise ToolkitError(f"Rows of {features.shape[1]} features, expected {number}. Record with this hook.")
        return features
