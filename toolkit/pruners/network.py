"""A small network (multilayer perceptron): its arrays, its float64 reference, and the bytes that the C hook reads."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HIDDEN = 32
"""Units of each of the two hidden layers; the hook is compiled for this number."""
MOST = 4.0
"""Most deviations that a feature is taken to lie from its mean: what lies further is no material to go on from."""
KIND = 2

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Network:
    """Two hidden layers with ReLU, and two outputs: the log of the expected loss and of the expected time.

    `mean`, `scale` (inputs,): a feature less its mean, times its scale, cut to -MOST and MOST, is an input. `weights`:
    (inputs, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 2); `biases`: (HIDDEN,), (HIDDEN,), (2,). All float32.
    """

    mean: Float32
    scale: Float32
    weights: tuple[Float32, Float32, Float32]
    biases: tuple[Float32, Float32, Float32]

    def predict(self, features: Float32) -> NDArray[np.float64]:
        """Reference predictions (rows, 2) of features (rows, at least inputs), summed input by input in float64."""
        own = features[:, : len(self.mean)].astype(np.float64)
        values = np.clip((own - self.mean) * self.scale.astype(np.float64), -MOST, MOST)
        for number, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            total = np.repeat(biases.astype(np.float64)[None], len(values), 0)
            for column, row in zip(values.T, weights.astype(np.float64), strict=True):
                total += column[:, None] * row
            values = np.maximum(total, 0) if number < 2 else total
        return values

    def native(self, side: int, decision: int) -> list[bytes]:
        """The network as the hook reads it (integration/libaom/pruner.c has the layout)."""
        head = struct.pack("<6Id", side, decision, KIND, len(self.mean), HIDDEN, 0, 0.0)
        arrays = [self.mean, self.scale]
        for weights, biases in zip(self.weights, self.biases, strict=True):
            arrays += [weights, biases]
        return [head + b"".join(np.ascontiguousarray(a, "<f4").tobytes() for a in arrays)]
