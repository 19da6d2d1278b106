"""A pruner as one ONNX graph: tree ensembles of the ai.onnx.ml domain, an output for each node size and decision."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from toolkit.pruners.forest import Forest
from toolkit.pruners.pruner import Pruner

OPSET, ML_OPSET = 20, 3


def output_name(side: int, decision: str) -> str:
    """Name of the output float32 (N, 2), log of loss and log of time, for a node size and decision."""
    return f"{decision}_{side}"


def pruner_graph(pruner: Pruner) -> bytes:
    """Serialised ONNX model: input `features` float32 (N, features), outputs as `output_name` says."""
    nodes, outputs = [], []
    for side, decision in sorted(pruner.loss):
        name = output_name(side, decision)
        for kind, forest in (("loss", pruner.loss[side, decision]), ("time", pruner.time[side, decision])):
            nodes.append(_ensemble(forest, f"{name}_{kind}"))
        nodes.append(helper.make_node("Concat", [f"{name}_loss", f"{name}_time"], [name], name=name, axis=1))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]))
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", len(pruner.features)])
    graph = helper.make_graph(nodes, "pruner", [features], outputs)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="av1part")
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


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
