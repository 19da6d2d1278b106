"""What ships: ONNX export, sealed bundles and the parity proof. Imports toolkit, never integration."""
