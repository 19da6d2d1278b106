"""Runs of a profile: in this process, or in one of its own where the profile has process-wide switches."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.bundle.bundle import Bundle
from export.compare.batches import Outputs, run_all
from export.graph.any_graph import AnyGraph
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
    return _apart(bundle.resolve(), blocks.inputs, {}, profile, batches)


def run_graph(
    model: bytes,
    inputs: Sequence[NDArray[Any]],
    whole: Mapping[str, NDArray[Any]],
    profile: Profile,
    batches: tuple[int, ...],
) -> Outputs:
    """Run `run_all` of a graph of any making in the profile; `inputs` and `whole` as of `AnyGraph`."""
    if profile.environment is None:
        return run_all(lambda: AnyGraph(model, profile.provider, whole, profile.options), tuple(inputs), batches)
    return _apart(model, inputs, whole, profile, batches)


def _apart(
    what: Path | bytes,
    inputs: Sequence[NDArray[Any]],
    whole: Mapping[str, NDArray[Any]],
    profile: Profile,
    batches: tuple[int, ...],
) -> Outputs:
    """Run a bundle, by its path, or a graph, by its bytes, in a process with the profile's switches."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "inputs.npz", *inputs)
        shared: dict[str, Any] = dict(whole)
        np.savez(folder / "whole.npz", **shared)
        if isinstance(what, bytes):
            (folder / "graph.onnx").write_bytes(what)
        job = {"bundle": None if isinstance(what, bytes) else str(what), "profile": asdict(profile), "batches": batches}
        (folder / "job.json").write_text(json.dumps(job))
        values = run_module("export.proof.worker", folder, profile.environment or {})
        if "unavailable" in values:
            raise ProviderUnavailable(values["unavailable"])
        if "error" in values:
            raise ToolkitError(values["error"])
        with np.load(folder / "outputs.npz", allow_pickle=False) as outputs:
            logits = {batch: outputs[f"batch_{batch}"] for batch in batches}
            calls = {name: outputs[f"call_{name}"] for name in values["calls"]}
        return Outputs(logits, values["placement"], calls, values["device"])
