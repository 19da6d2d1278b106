"""Runs in a process of their own, for profiles with process-wide switches."""

import json
import tempfile
from pathlib import Path

import numpy as np

from export.compare.batches import Outputs
from export.graph.process import run_module
from export.graph.profiles import Profile
from export.graph.runtime import ProviderUnavailable
from toolkit.data.blockset import Blocks
from toolkit.errors import ToolkitError


def run_apart(bundle: Path, blocks: Blocks, profile: Profile, batches: tuple[int, ...]) -> Outputs:
    """Run `run_all` of the profile in a fresh process with the profile's switches.

    Raises ProviderUnavailable where the session there does, and ToolkitError where the process fails otherwise.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "inputs.npz", *blocks.inputs)
        job = {"bundle": str(bundle.resolve()), "profile": profile.name, "batches": batches}
        (folder / "job.json").write_text(json.dumps(job))
        values = run_module("export.proof.worker", folder, profile.environment or {})
        if "unavailable" in values:
            raise ProviderUnavailable(values["unavailable"])
        if "error" in values:
            raise ToolkitError(values["error"])
        with np.load(folder / "outputs.npz", allow_pickle=False) as outputs:
            logits = {batch: outputs[f"batch_{batch}"] for batch in batches}
        return Outputs(logits, values["placement"], values["repeats"])
