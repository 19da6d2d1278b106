"""Running Python with libaom's sanitized build (`av1part encoder build --sanitize`), and reading its leak reports."""

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from integration.codec.libaom_build import SOURCES, build

OWN = ("libav1part", str(SOURCES))
"""Words that mark our library, with libaom linked into it, in a stack trace."""


def sanitized() -> dict[str, str]:
    """Environment in which a Python process can load the sanitized build."""
    build(sanitize=True)
    preload = [
        subprocess.run(["cc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    return os.environ | {
        "LD_PRELOAD": " ".join(preload),
        "AV1PART_SANITIZE": "1",
        # Leaks are looked for by `lost_memory`, which can tell ours from Python's.
        "ASAN_OPTIONS": "detect_leaks=1:leak_check_at_exit=0",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }


def restart(script: str, arguments: Sequence[str]) -> None:
    """Run a script again with the sanitized build; exit with 1 if it fails, else with 0."""
    sys.exit(subprocess.run([sys.executable, script, *arguments], env=sanitized(), check=False).returncode != 0)


def lost_memory() -> list[str] | None:
    """LeakSanitizer's records whose stack shows our library; None where the process runs without it."""
    process = ctypes.CDLL(None)
    if not hasattr(process, "__lsan_do_recoverable_leak_check"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        process.__sanitizer_set_report_path(f"{folder}/leaks".encode())
        process.__lsan_do_recoverable_leak_check()
        process.__sanitizer_set_report_path(b"stderr")
        text = "".join(path.read_text(errors="replace") for path in Path(folder).iterdir())
    # Python itself leaks as well.
    return [record for record in text.split("\n\n") if any(word in record for word in OWN)]
