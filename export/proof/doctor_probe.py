"""`python -m export.proof.doctor_probe FOLDER`: a small product on the GPU, by torch or ONNX Runtime.

Reads FOLDER/probe (torch, onnxruntime or webgpu), writes FOLDER/answer.json.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np

from toolkit.processes import obey_parent

SIZE = 64


class Probe(TypedDict):
    """What a real run gave; `error` is empty where it is right. `device`: its name, or what WebGPU says of it.

    `float16`: the error of a run in float16, of WebGPU alone.
    """

    error: str
    device: NotRequired[str | dict[str, str]]
    placement: NotRequired[dict[str, int]]
    float16: NotRequired[str]


def probe_torch() -> Probe:
    """Compare PyTorch's matrix product on the GPU with the CPU's."""
    import torch

    if not torch.cuda.is_available():
        return {"error": f"PyTorch {torch.__version__} finds no usable GPU."}
    a = torch.arange(SIZE * SIZE, dtype=torch.float32).reshape(SIZE, SIZE) / SIZE**2
    wrong = float(((a.cuda() @ a.cuda()).cpu() - a @ a).abs().max())
    return {"error": f"a product is off by {wrong:.3g}" if wrong > 1e-1 else "", "device": torch.cuda.get_device_name()}


def probe_onnxruntime() -> Probe:
    """Compare ONNX Runtime's convolution, which loads cuDNN too, on the CUDA provider alone with the CPU's."""
    return _convolution("cuda", _graph())


def probe_webgpu() -> Probe:
    """Compare ONNX Runtime's convolution on the WebGPU provider alone with the CPU's; `device`: what it finds."""
    from export.graph.float16 import as_float16
    from export.graph.vulkan import devices

    model = _graph()
    found = _convolution("webgpu", model)
    if not found["error"]:
        found["float16"] = _convolution("webgpu", as_float16(model))["error"]
    return found if found.get("device") else found | {"device": next(map(asdict, devices()), {})}


def _graph() -> bytes:
    """A convolution x (1, 1, SIZE, SIZE) -> y, of two kernels of ones."""
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((2, 1, 3, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, SIZE, SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, SIZE - 2, SIZE - 2])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def _convolution(provider: str, model: bytes) -> Probe:
    """Run the graph, in float32 or float16, on a provider alone; expected is what `_graph` gives on the CPU."""
    from export.graph.runtime import open_session, running
    from toolkit.errors import ToolkitError

    x = np.linspace(0, 1, SIZE * SIZE, dtype=np.float32).reshape(1, 1, SIZE, SIZE)
    expected = open_session(_graph(), "cpu", None)[0].run(["y"], {"x": x})[0]
    try:
        session, placement = open_session(model, provider, None)
        with running():
            wrong = float(np.abs(session.run(["y"], {"x": x})[0] - expected).max())
    except ToolkitError as error:
        return {"error": error.message}
    problem = f"a convolution is off by {wrong:.3g}" if wrong > 1e-1 else ""
    return {"error": problem, "placement": placement, "device": getattr(session, "device", {})}


if __name__ == "__main__":
    obey_parent()
    target = Path(sys.argv[1])
    probe = {"torch": probe_torch, "onnxruntime": probe_onnxruntime, "webgpu": probe_webgpu}[
        (target / "probe").read_text()
    ]
    (target / "answer.json").write_text(json.dumps(probe()))
