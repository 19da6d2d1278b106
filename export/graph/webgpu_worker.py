"""`python -m export.graph.webgpu_worker`: one session on the WebGPU provider, asked over stdin, answering on stdout.

Imports no torch, and the ONNX Runtime that comes first in PYTHONPATH.
"""

import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO

from export.graph.vulkan import choose_software, devices
from export.graph.webgpu import receive, send
from toolkit.errors import ToolkitError
from toolkit.processes import obey_parent


def serve(questions: IO[bytes], answers: IO[bytes]) -> None:
    """Open the graph that the first question brings, then run it until nobody asks any more."""
    with tempfile.TemporaryDirectory() as folder:
        choose_software(Path(folder))
        import onnxruntime

        from export.graph.runtime import open_here, reason_of

        job, (model,) = receive(questions)
        try:
            session, placement = open_here(model.tobytes(), "webgpu", job["threads"], job["options"])
        except ToolkitError as error:
            send(answers, {"error": error.message}, [])
            return
        found = next(map(asdict, devices()), {})
        opened = {
            "placement": placement,
            "device": found | {"onnxruntime_webgpu": onnxruntime.__version__},
            "inputs": [(value.name, value.type, value.shape) for value in session.get_inputs()],
            "outputs": [(value.name, value.type, value.shape) for value in session.get_outputs()],
            "metadata": session.get_modelmeta().custom_metadata_map,
            "provider_options": session.get_provider_options(),
        }
        send(answers, opened, [])
        while True:
            try:
                question, arrays = receive(questions)
            except EOFError:
                return
            began = time.process_time()
            try:
                outputs = session.run(question["names"], dict(zip(question["feed"], arrays, strict=True)))
            except Exception as error:  # ONNX Runtime's errors have no base of their own
                send(answers, {"error": reason_of(error)}, [])
                continue
            send(answers, {"cpu_seconds": time.process_time() - began}, outputs)


if __name__ == "__main__":
    obey_parent()
    # Libraries print to stdout, which belongs to the answers: it becomes stderr for all but them.
    own = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, own)
