"""The Python API in one place: the public names of toolkit, export and integration (docs/reference/api.md).

A name is imported at its first use, so that `import av1part` is quick and imports no PyTorch.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from export import *  # noqa: F403
    from integration import *  # noqa: F403
    from toolkit import *  # noqa: F403

# As toolkit does, which a program may import later than ONNX Runtime.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

PACKAGES = ("toolkit", "export", "integration")
ROOT = Path(__file__).resolve().parents[1]
"""Folder in which av1part's packages lie beside each other."""


def check_packages() -> None:
    """Raise ImportError where another module of a package's name is found before ours; it names that module's file."""
    for name in PACKAGES:
        module = import_module(name)
        found = Path(getattr(module, "__file__", None) or f"(a folder {name})")
        if found.resolve() != ROOT / name / "__init__.py":
            raise ImportError(
                f"{found} is imported in place of av1part's own {name}. Rename it, or take its folder off PYTHONPATH."
            )


def __getattr__(name: str) -> object:
    """Import a public name from the package that has it; AttributeError where the name is not public."""
    if name == "__version__" or not name.startswith("__"):
        check_packages()
        for package in map(import_module, PACKAGES):
            if name in package.__all__:
                return getattr(package, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """All public names, sorted."""
    return sorted({"__version__"}.union(*(import_module(package).__all__ for package in PACKAGES)))
