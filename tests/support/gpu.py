"""Whether this machine has a CUDA device."""

import onnxruntime as ort

NO_CUDA = not any(d.ep_name == "CUDAExecutionProvider" for d in ort.get_ep_devices())
