"""The commands of export, bundles and proofs. Importing this imports none of them."""

COMMANDS = {
    "bundle": (
        "export.commands.bundle",
        "Verify a bundle, sign it, or show what it is.",
    ),
    "doctor": (
        "export.commands.doctor",
        "Say what stands between this machine's GPU and a CUDA profile.",
    ),
    "export": (
        "export.commands.export",
        "Export a checkpoint to an ONNX bundle, compared before it is written.",
    ),
    "parity": (
        "export.commands.parity",
        "Prove that ONNX Runtime gives PyTorch's predictions on held-out blocks.",
    ),
    "quantize": (
        "export.commands.quantize",
        "Derive an int8 bundle from a proven one.",
    ),
}
"""Name of each command: the module that holds it, under the same name with _ for -, and its line in --help."""
