"""A pruner as one ONNX graph: tree ensembles (ai.onnx.ml) or small networks, an output for each size and decision."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from toolkit.pruners.forest import Forest, Trees
from toolkit.pruners.network import MOST, Network
from toolkit.pruners.pruner import Pruner

OPSET, ML_OPSET = 20, 3


def output_name(side: int, decision: str) -> str:
    """Name of the output float32 (N, 2), log of loss and log of time, for a node size and decision."""
    return f"{decision}_{side}"


def pruner_graph(pruner: Pruner) -> bytes:
    """Serialised ONNX model: input `features` float32 (N, features), outputs as `output_name` says."""
    nodes: list[onnx.NodeProto] = []
    outputs: list[onnx.ValueInfoProto] = []
    weights: list[TensorProto] = []
    for side, decision in sorted(pruner.models):
        name, model = output_name(side, decision), pruner.models[side, decision]
        if isinstance(model, Trees):
            nodes += [_ensemble(model.loss, f"{name}_loss"), _ensemble(model.time, f"{name}_time")]
            nodes.append(helper.make_node("Concat", [f"{name}_loss", f"{name}_time"], [name], name=name, axis=1))
        else:
            own_nodes, own_weights = _network(model, name)
            nodes, weights = nodes + own_nodes, weights + own_weights
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]))
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", len(pruner.features)])
    graph = helper.make_graph(nodes, "pruner", [features], outputs, weights)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="av1part")
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _network(network: Network, name: str) -> tuple[list[onnx.NodeProto], list[TensorProto]]:
    """Nodes and weights of one network; its inputs are the table's first features."""
    known = np.arange(len(network.mean))
    bounds = {"low": np.float32(-MOST), "high": np.float32(MOST)}
    arrays = {"known": known, "mean": network.mean, "scale": network.scale} | bounds
    nodes = [
        helper.make_node("Gather", ["features", f"{name}_known"], [f"{name}_0"], axis=1),
        helper.make_node("Sub", [f"{name}_0", f"{name}_mean"], [f"{name}_1"]),
        helper.make_node("Mul", [f"{name}_1", f"{name}_scale"], [f"{name}_2"]),
        helper.make_node("Clip", [f"{name}_2", f"{name}_low", f"{name}_high"], [f"{name}_input"]),
    ]
    value = f"{name}_input"
    for layer, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
        arrays |= {f"weights{layer}": weights, f"biases{layer}": biases}
        result = name if layer == 2 else f"{name}_sum{layer}"
        nodes.append(helper.make_node("Gemm", [value, f"{name}_weights{layer}", f"{name}_biases{layer}"], [result]))
        if layer < 2:
            value = f"{name}_layer{layer}"
            nodes.append(helper.make_node("Relu", [result], [value]))
    return nodes, [numpy_helper.from_array(np.asarray(a), f"{name}_{key}") for key, a in arrays.items()]


def _ensemble(forest: Forest, name: str) -> onnx.NodeProto:
    """One tree ensemble; a node's number counts from its tree's root."""
    nodes = forest.nodes
    tree = np.searchsorted(forest.roots, np.arange(len(nodes)), side="right") - 1
    first = forest.roots[tree].astype(np.int64)
    leaf = nodes["feature"] < 0
    own = np.arange(len(nodes)) - first
    return helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        [name],
        name=name,
        domain="ai.onnx.ml",
        n_targets=1,
        base_values=[forest.start],
        nodes_treeids=tree.tolist(),
        nodes_nodeids=own.tolist(),
        nodes_featureids=np.where(leaf, 0, nodes["feature"]).tolist(),
        nodes_modes=["LEAF" if is_leaf else "BRANCH_LEQ" for is_leaf in leaf],
        nodes_values=nodes["threshold"].tolist(),
        nodes_truenodeids=np.where(leaf, 0, nodes["left"] - first).tolist(),
        nodes_falsenodeids=np.where(leaf, 0, nodes["right"] - first).tolist(),
        target_treeids=tree[leaf].tolist(),
        target_nodeids=own[leaf].tolist(),
        target_ids=[0] * int(leaf.sum()),
        target_weights=nodes["value"][leaf].tolist(),
    )
