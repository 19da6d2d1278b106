"""Commands for exports, bundles and proofs. Importing this table imports none of them."""

COMMANDS = {
    "bundle": (
        "export.commands.bundle",
        "Verify a bundle, sign it, or show what it is.",
    ),
    "export": (
        "export.commands.export",
        "Export a checkpoint to an ONNX bundle, compared before it is written.",
    ),
    "parity": (
        "export.commands.parity",
        "Prove that ONNX Runtime gives PyTorch's predictions on held-out blocks.",
    ),
    "parity-foreign": (
        "export.commands.parity_foreign",
        "Prove that an ONNX file of other making gives a checkpoint's or a torch module's outputs.",
    ),
    "quantize": (
        "export.commands.quantize",
        "Derive an int8 bundle from a proven one.",
    ),
}
"""By command name: its module, and its line in --help. The module holds it under that name, with _ for -."""
