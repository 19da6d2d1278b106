"""Running a module of this package as a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.processes import child_environment

TIMEOUT = 3600.0
"""Most seconds of a process: far more than any proof needs, so that a hanging driver becomes an error at last."""


def environment(switches: Mapping[str, str | None], first: Path | None = None) -> dict[str, str]:
    """Environment of a process of this package: this one's with the switches (None: unset).

    Its Python finds modules in `first` before all others.
    """
    # This package may be importable only from the current folder.
    folders = [str(first) if first else "", str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    search = os.pathsep.join(filter(None, folders))
    values = {**child_environment(), "PYTHONPATH": search, **switches}
    return {key: value for key, value in values.items() if value is not None}


def run_module(module: str, folder: Path, switches: Mapping[str, str | None]) -> Any:
    """Run `python -m MODULE FOLDER` with these environment variables (None: unset); returns FOLDER/answer.json."""
    try:
        process = subprocess.run(
            [sys.executable, "-P", "-m", module, str(folder)],
            env=environment(switches),
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise ToolkitError(
            f"The process of {module} gave no answer in {TIMEOUT:g} s and was ended. Does nvidia-smi answer? A driver "
            "that hangs needs the machine restarted; else run fewer blocks (--limit)."
        ) from None
    answer = folder / "answer.json"
    if not answer.is_file():
        last = (process.stderr.strip().splitlines() or ["no message"])[-1][:300]
        raise ToolkitError(f"The process of {module} ended with {process.returncode} and no answer: {last}")
    return json.loads(answer.read_text())
