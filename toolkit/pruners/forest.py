"""Sums of regression trees: their arrays, their float64 reference, and the bytes that the C hook reads."""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NODE = np.dtype([("feature", "<i4"), ("left", "<u4"), ("right", "<u4"), ("threshold", "<f4"), ("value", "<f8")])
"""One node: `feature` -1 for a leaf; a row goes left where its feature is at most `threshold` (float32)."""

_NATIVE_NODE = np.dtype([("threshold", "<f4"), ("feature", "<i2"), ("next", "<u2")])


@dataclass(frozen=True)
class Forest:
    """Trees whose values are summed from `start`: `roots` (trees,) index `nodes` (nodes,) of dtype NODE."""

    start: float
    roots: NDArray[np.uint32]
    nodes: NDArray[Any]

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Reference predictions (rows,) of features (rows, columns), summed tree by tree in float64."""
        total = np.full(len(features), self.start)
        rows = np.arange(len(features))
        for root in self.roots:
            at = np.full(len(features), root, np.int64)
            while (inner := self.nodes["feature"][at] >= 0).any():
                node = self.nodes[at[inner]]
                left = features[rows[inner], node["feature"]] <= node["threshold"]
                at[inner] = np.where(left, node["left"], node["right"])
            total += self.nodes["value"][at]
        return total


@dataclass(frozen=True)
class Trees:
    """A forest for the log of the expected loss, and one for the log of the expected time."""

    loss: Forest
    time: Forest

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Reference predictions (rows, 2) of features (rows, columns)."""
        return np.stack([self.loss.predict(features), self.time.predict(features)], 1)

    def native(self, side: int, decision: int) -> list[bytes]:
        """Both as the hook reads them."""
        return [forest_bytes(side, decision, kind, forest) for kind, forest in enumerate((self.loss, self.time))]


def from_boosting(model: Any, columns: NDArray[np.intp]) -> Forest:
    """Forest of a fitted scikit-learn HistGradientBoostingRegressor; predicts its raw value (before any link).

    `columns` (the model's features,): where each of them lies in the table of features. A float64 threshold becomes the
    largest float32 below or at it, which sends every float32 feature the same way.
    """
    parts, roots, used = [], [], 0
    for (tree,) in model._predictors:
        own = tree.nodes
        nodes = np.zeros(len(own), NODE)
        leaf = own["is_leaf"].astype(bool)
        nodes["feature"] = np.where(leaf, -1, columns[own["feature_idx"]])
        nodes["left"], nodes["right"] = own["left"] + used, own["right"] + used
        nodes["threshold"] = np.where(leaf, 0, _float32_below(own["num_threshold"]))
        nodes["value"] = np.where(leaf, own["value"], 0)
        parts.append(nodes)
        roots.append(used)
        used += len(own)
    start = float(np.ravel(model._baseline_prediction)[0])
    return Forest(start, np.array(roots, np.uint32), np.concatenate(parts))


def _float32_below(values: NDArray[np.float64]) -> NDArray[np.float32]:
    rounded = values.astype(np.float32)
    return np.where(rounded > values, np.nextafter(rounded, np.float32(-np.inf)), rounded).astype(np.float32)


def forest_bytes(side: int, decision: int, kind: int, forest: Forest) -> bytes:
    """One forest as the hook reads it (integration/libaom/pruner.c has the layout)."""
    trees = [_in_order(forest.nodes, int(root)) for root in forest.roots]
    nodes, values = zip(*trees, strict=True)
    counts = np.array([(len(n), len(v)) for n, v in trees])
    first = np.concatenate([[(0, 0)], counts.cumsum(axis=0)[:-1]]).astype("<u4")
    sizes = (len(trees), *counts.sum(axis=0).tolist())
    head = struct.pack("<6Id", side, decision, kind, *sizes, forest.start)
    return head + first.tobytes() + np.concatenate(nodes).tobytes() + np.concatenate(values).tobytes()


def _in_order(nodes: NDArray[Any], root: int) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Nodes of one tree, each before what lies left of it, then right of it; and the values of its leaves."""
    order: list[int] = []
    waiting = [root]
    while waiting:
        at = waiting.pop()
        order.append(at)
        if nodes["feature"][at] >= 0:
            waiting += [int(nodes["right"][at]), int(nodes["left"][at])]
    place = {at: i for i, at in enumerate(order)}
    own = nodes[order]
    leaf = own["feature"] < 0
    result = np.zeros(len(order), _NATIVE_NODE)
    result["threshold"], result["feature"] = own["threshold"], own["feature"]
    result["next"] = np.where(leaf, leaf.cumsum() - 1, [place.get(int(r), 0) - i for i, r in enumerate(own["right"])])
    return result, own["value"][leaf].astype("<f8")
