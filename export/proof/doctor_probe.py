"""`python -m export.proof.doctor_probe FOLDER`: a small product on the GPU, by either torch or ONNX Runtime.

Reads FOLDER/probe (torch or onnxruntime), writes FOLDER/answer.json.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.processes import obey_parent

SIZE = 64


def probe_torch() -> dict[str, Any]:
    """Compare PyTorch's matrix product on the GPU with the CPU's."""
    import torch

    if not torch.cuda.is_available():
        return {"error": f"PyTorch {torch.__version__} finds no usable GPU."}
    a = torch.arange(SIZE * SIZE, dtype=torch.float32).reshape(SIZE, SIZE) / SIZE**2
    wrong = float(((a.cuda() @ a.cuda()).cpu() - a @ a).abs().max())
    return {"error": f"a product is off by {wrong:.3g}" if wrong > 1e-1 else "", "device": torch.cuda.get_device_name()}


def probe_onnxruntime() -> dict[str, Any]:
    """Compare ONNX Runtime's convolution, which loads cuDNN too, on the CUDA provider alone with the CPU's."""
    from onnx import TensorProto, helper, numpy_helper

    from export.graph.runtime import open_session
    from toolkit.errors import ToolkitError

    weight = numpy_helper.from_array(np.ones((2, 1, 3, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, SIZE, SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, SIZE - 2, SIZE - 2])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    x = np.linspace(0, 1, SIZE * SIZE, dtype=np.float32).reshape(1, 1, SIZE, SIZE)
    expected = open_session(model, "cpu", None)[0].run(["y"], {"x": x})[0]
    try:
        session, placement = open_session(model, "cuda", None)
    except ToolkitError as error:
        return {"error": error.message}
    wrong = float(np.abs(session.run(["y"], {"x": x})[0] - expected).max())
    return {"error": f"a convolution is off by {wrong:.3g}" if wrong > 1e-1 else "", "placement": placement}


if __name__ == "__main__":
    obey_parent()
    target = Path(sys.argv[1])
    probe = {"torch": probe_torch, "onnxruntime": probe_onnxruntime}[(target / "probe").read_text()]
    (target / "answer.json").write_text(json.dumps(probe()))
