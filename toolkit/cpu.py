"""Model of this machine's CPU: times of several models cannot be compared."""

import functools
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


@functools.cache
def cpu_model() -> str:
    """Model of the first CPU as Linux names it; elsewhere, or where it names none, the kind of machine."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name") and ":" in line)
    return next(names, platform.machine())
