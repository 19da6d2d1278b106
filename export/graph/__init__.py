"""The ONNX graph: its contract, how it is exported, and how ONNX Runtime runs it."""
