"""Graphs for the WebGPU provider, and how a test hides its device."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from export.graph.vulkan import CHOICES

NO_DEVICE = dict.fromkeys(CHOICES, "/nothing")
"""Environment variables with which the Vulkan loader finds no device."""


def convolution(*after: str, size: int = 8) -> bytes:
    """A graph x (N, 1, size, size) -> y: one 3x3 kernel of ones, and these operators after it."""
    names = ["x", *(f"v{i}" for i in range(len(after))), "y"]
    weight = numpy_helper.from_array(np.ones((1, 1, 3, 3), np.float32), "w")
    nodes = [helper.make_node("Conv", ["x", "w"], [names[1]])]
    nodes += [helper.make_node(op, [a], [b]) for op, a, b in zip(after, names[1:-1], names[2:], strict=True)]
    shapes = {"x": ["n", 1, size, size], "y": ["n", 1, size - 2, size - 2]}
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    graph = helper.make_graph(nodes, "convolution", [x], [y], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def workers(parent: int) -> set[int]:
    """Processes of WebGPU sessions that this process started."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes()
            status = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if b"export.graph.webgpu_worker" in words and int(status[1]) == parent and status[0] != "Z":
            found.add(int(entry.name))
    return found
