"""Runs of a profile: in this process, or in one of its own where the profile has process-wide switches."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from export.bundle.bundle import Bundle
from export.compare.batches import Outputs, run_all
from export.graph.process import run_module
from export.graph.profiles import Profile, unfit
from export.graph.runtime import ProviderUnavailable
from toolkit.data.blockset import Blocks
from toolkit.errors import ToolkitError


def run_profile(bundle: Bundle, blocks: Blocks, profile: Profile, batches: tuple[int, ...]) -> Outputs:
    """Outputs of a profile in every batch size; ProviderUnavailable where it cannot run this bundle at all."""
    if reason := unfit(profile, int8=bundle.int8):
        raise ProviderUnavailable(reason)
    if profile.environment is None:
        return run_all(lambda: bundle.session(profile.provider), blocks.inputs, batches)
    return run_apart(bundle.path, blocks, profile, batches)


def run_apart(bundle: Path, blocks: Blocks, profile: Profile, batches: tuple[int, ...]) -> Outputs:
    """Run `run_all` of the profile in a fresh process with the profile's switches.

    Raises ProviderUnavailable where the session there does, and ToolkitError where the process fails otherwise.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "inputs.npz", *blocks.inputs)
        job = {"bundle": str(bundle.resolve()), "profile": asdict(profile), "batches": batches}
        (folder / "job.json").write_text(json.dumps(job))
        values = run_module("export.proof.worker", folder, profile.environment or {})
        if "unavailable" in values:
            raise ProviderUnavailable(values["unavailable"])
        if "error" in values:
            raise ToolkitError(values["error"])
        with np.load(folder / "outputs.npz", allow_pickle=False) as outputs:
            logits = {batch: outputs[f"batch_{batch}"] for batch in batches}
        return Outputs(logits, values["placement"], values["repeats"], values["device"])
