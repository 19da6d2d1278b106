"""Class of this CPU's instruction set, by the kernels that ONNX Runtime picks for int8 products.

An int8 graph may compute other numbers on another class: without VNNI, x86-64 CPUs add pairs of products in 16 bit,
where full 8-bit weights overflow and are clipped (docs/explanation/parity.md).
"""

import functools
import importlib
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


@functools.cache
def instruction_set() -> str:
    """Class of this CPU, such as "x86-64 VNNI" or "x86-64 AVX2"; the machine's name where no class is known."""
    return class_of(platform.machine(), _numpy_features(), _kernel_flags())


def class_of(machine: str, features: set[str], flags: set[str]) -> str:
    """Class of a machine with NumPy's `features`, from the CPU itself, and the `flags` that the Linux kernel lists."""
    if machine in ("x86_64", "AMD64"):
        # NumPy does not ask for AVX-VNNI. The kernel's list counts only where it agrees with the CPU that NumPy sees:
        # an emulator hides instructions from the process and not from that list.
        narrow_vnni = "AVX2" in features and "avx_vnni" in flags and "avx512f" not in flags
        if "AVX512VNNI" in features or narrow_vnni:
            return "x86-64 VNNI"
        wide = next((text for name, text in (("AVX512F", "AVX-512"), ("AVX2", "AVX2")) if name in features), "")
        return f"x86-64 {wide}".strip()
    if machine in ("aarch64", "arm64"):
        return "Arm dot product" if "ASIMDDP" in features else "Arm"
    return machine


def _numpy_features() -> set[str]:
    """Names of the instruction sets that NumPy finds in this CPU."""
    for module in ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath"):  # NumPy 2, NumPy 1
        try:
            found: dict[str, bool] = importlib.import_module(module).__cpu_features__
        except (ImportError, AttributeError):
            continue
        return {name for name, there in found.items() if there}
    return set()


def _kernel_flags() -> set[str]:
    """Flags of the first CPU in /proc/cpuinfo; empty elsewhere than on Linux."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), set())
