"""What ships: ONNX export, sealed bundles and the parity proof. Imports toolkit, never integration.

The names in `__all__` are the public ones (docs/reference/api.md); each is imported at its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

import toolkit  # noqa: F401  # before anything imports ONNX Runtime: it switches its telemetry off

if TYPE_CHECKING:
    from export.bundle.bundle import Bundle
    from export.bundle.write import choose_checkpoint, write_bundle
    from export.proof.config import ParityConfig
    from export.proof.prove import prove
else:
    _HOME = {
        "Bundle": "export.bundle.bundle",
        "ParityConfig": "export.proof.config",
        "choose_checkpoint": "export.bundle.write",
        "prove": "export.proof.prove",
        "write_bundle": "export.bundle.write",
    }

    def __getattr__(name: str) -> object:
        """Import a public name from the module that defines it; AttributeError where the name is not public."""
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOME[name]), name)


__all__ = ["Bundle", "ParityConfig", "choose_checkpoint", "prove", "write_bundle"]
