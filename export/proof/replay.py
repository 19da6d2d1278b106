"""Repeat of a proof without PyTorch, on the blocks and float64 logits that the bundle keeps of it."""

import platform
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import onnxruntime as ort

from export.bundle.bundle import Bundle
from export.bundle.replay import Kept, write_replays
from export.compare.batches import between_batches
from export.compare.deployments import run_deployments, with_deployments
from export.compare.noninferiority import judge_int8
from export.compare.verdict import Budget, judge, summarise, with_repeats
from export.graph.instruction_set import instruction_set
from export.graph.profiles import Profile, profile_of
from export.graph.runtime import ProviderUnavailable
from export.graph.vulkan import SOFTWARE
from export.proof.config import ParityConfig
from export.proof.isolated import run_profile
from toolkit import __version__
from toolkit.errors import ToolkitError


class ReplayResult(TypedDict):
    """Result of `replay`, as of `prove`."""

    passed: bool
    profiles: dict[str, dict[str, Any]]
    split: str
    blocks: int


def replay(path: Path, config: ParityConfig) -> ReplayResult:
    """Run a proven bundle on the blocks of its proof, judge it by the proof's own budget, and write replay.json.

    Of the config, providers and profiles count; without any it is the bundle's own CPU profile. Passed where all of
    them passed. Raises ToolkitError for a bundle whose proof kept no blocks or did not pass on the CPU.
    """
    bundle = Bundle.load(path)
    kept, own = bundle.kept(), profile_of("cpu", int8=bundle.int8)
    assert bundle.report is not None
    proof = bundle.report["profiles"].get(own)
    if proof is None or proof["status"] != "passed":
        raise ToolkitError(f"{path}: its proof did not pass in {own}, so there is none to repeat. Prove it with DATA.")
    names = [*(profile_of(p, int8=bundle.int8) for p in config.providers), *config.profiles] or [own]
    about = _about(bundle, kept)
    results = {name: _run(bundle, kept, config.profile(name), dict(proof), about) for name in dict.fromkeys(names)}
    write_replays(path, bundle.replays, bundle.sha256, bundle.report["proof_npz_sha256"], results)
    return {
        "passed": all(result["status"] == "passed" for result in results.values()),
        "profiles": results,
        "split": proof["data"]["split"],
        "blocks": len(kept.blocks),
    }


def _run(bundle: Bundle, kept: Kept, profile: Profile, proof: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    what: dict[str, Any] = {"profile": profile.name, "provider": profile.provider, "precision": profile.precision}
    what["budget_assumed"] = profile.budget_assumed
    batches = tuple(sorted(map(int, proof["batches"])))
    try:
        if profile.precision not in ("float32", "int8"):
            raise ProviderUnavailable(
                f"The budget of {profile.precision} is PyTorch's own error at it on this GPU. Prove it with DATA, "
                "where PyTorch is installed."
            )
        found = run_profile(bundle, kept.blocks, profile, batches)
        deployed = None
        if profile.provider == "cpu" and not bundle.int8:
            deployed = run_deployments(bundle.model_bytes(), kept.blocks.inputs, kept.reference, _budget(proof))
    except ProviderUnavailable as error:
        return {**what, "status": "not-run", "reason": error.message, "comparisons": 0}
    except ToolkitError as error:
        return {**what, **summarise({}), **about, "status": "failed", "reason": error.message}
    if profile.precision == "int8":
        seed = proof["data"]["seed"]
        verdict: dict[str, Any] = {**judge_int8(found.logits, kept.reference, kept.blocks, len(bundle.classes), seed)}
        allowed = 0.0
    else:
        budget = _budget(proof)
        verdict, allowed = {**judge(found.logits, kept.reference, budget)}, budget.max
    if deployed is not None:
        verdict = with_deployments(verdict, deployed)
    what["gpu"] = found.device
    what["budget_assumed"] = profile.budget_assumed and found.device.get("kind") != SOFTWARE
    beside = {"placement": found.placement, "batch_variance": between_batches(found.logits, len(kept.blocks))}
    return {**what, **with_repeats(verdict, found.repeats(), allowed), **beside, **about}


def _budget(proof: dict[str, Any]) -> Budget:
    """Budget that PyTorch's own float32 error set in the proof."""
    return Budget(
        rms=proof["rms_budget"],
        max=proof["max_budget"],
        reference_rms=proof["reference_rms"],
        reference_max=proof["reference_max"],
        blocks=proof["calibration_blocks"],
    )


def _about(bundle: Bundle, kept: Kept) -> dict[str, Any]:
    """Entries on the blocks and on what ran, the same for every profile."""
    versions = {
        "av1part": __version__,
        "onnxruntime": ort.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "instruction_set": instruction_set(),
    }
    model = bundle.manifest["files"]["model.onnx"]["sha256"]
    return {"blocks": len(kept.blocks), "classes": list(bundle.classes), "model_sha256": model, "versions": versions}
