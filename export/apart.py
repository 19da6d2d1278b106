"""A sweep in a process of its own, for profiles with process-wide switches."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export.profiles import Profile
from export.runtime import ProviderUnavailable
from export.sweep import Outputs
from toolkit.blocks import Blocks
from toolkit.errors import ToolkitError

TIMEOUT = 3600.0
"""Seconds that a process may take: far more than any proof needs, so that a driver that hangs is an error at last."""


def run_apart(bundle: Path, blocks: Blocks, profile: Profile, batches: tuple[int, ...]) -> Outputs:
    """`run_all` of the profile in a fresh process with its switches.

    Raises ProviderUnavailable as the session there does, and ToolkitError where the process fails otherwise.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "inputs.npz", luma=blocks.luma, qindex=blocks.qindex)
        job = {"bundle": str(bundle.resolve()), "profile": profile.name, "batches": batches}
        (folder / "job.json").write_text(json.dumps(job))
        values = run_module("export.worker", folder, profile.environment or {})
        if "unavailable" in values:
            raise ProviderUnavailable(values["unavailable"])
        if "error" in values:
            raise ToolkitError(values["error"])
        with np.load(folder / "outputs.npz", allow_pickle=False) as outputs:
            logits = {batch: outputs[f"batch_{batch}"] for batch in batches}
        return Outputs(logits, values["placement"], values["repeats"])


def run_module(module: str, folder: Path, switches: Mapping[str, str | None]) -> Any:
    """`python -m MODULE FOLDER` with these environment variables (None: unset); returns its FOLDER/answer.json."""
    # This package may be importable from the current folder alone.
    search = os.pathsep.join([str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": search.rstrip(os.pathsep), **switches}
    try:
        process = subprocess.run(
            [sys.executable, "-m", module, str(folder)],
            env={key: value for key, value in environment.items() if value is not None},
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
