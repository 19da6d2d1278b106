"""Proving that ONNX Runtime gives PyTorch's predictions, and that the proof can fail."""
