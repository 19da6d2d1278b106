"""A pruner's bundle: its ONNX form, its seal, and the proof that every form decides alike."""
