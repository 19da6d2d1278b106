"""The proof that a bundle's ONNX file is the model that was trained: same numbers, same decisions, held-out blocks."""

import hashlib
import platform
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.bundle.bundle import Bundle
from export.bundle.report import by_provider, write_report
from export.bundle.write import versions
from export.compare.batches import FULL_BATCH, Outputs, batch_rows, between_batches, run_all
from export.compare.budget import Budget, calibrate, compare, reference_logits, summarise
from export.compare.flops import affordable, affordable_batches, thinned
from export.compare.gpu_budget import calibrate_on_gpu
from export.compare.noninferiority import judge_int8
from export.compare.worst_blocks import worst_blocks
from export.graph.export import check_onnx
from export.graph.profiles import PROFILES, Profile, profile_of, unfit
from export.graph.runtime import ProviderUnavailable
from export.proof.bisect import BLOCKS, bisect
from export.proof.config import ParityConfig
from export.proof.doctor import gpu_versions
from export.proof.held_out import held_out_blocks
from export.proof.isolated import run_apart
from toolkit.data.blockset import Blocks, BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import canonical_json
from toolkit.model.checkpoint import Checkpoint
from toolkit.model.network import Classifier


@dataclass(frozen=True)
class Proof:
    """What outputs are compared with: blocks, their float64 logits, and the budget from the calibration blocks.

    `config`: what was asked for, cut to what the model affords.
    """

    model: Classifier
    calibration: Blocks
    blocks: Blocks
    reference: NDArray[np.float64]
    budget: Budget
    config: ParityConfig


def prove(path: Path, data_path: Path, config: ParityConfig) -> dict[str, Any]:
    """Compare a bundle with its PyTorch model on held-out blocks and write the report into the bundle.

    Returns {passed, profiles: {name: {status, reason, comparisons, ...}}, providers: the same by cpu and cuda, split,
    blocks} of this run: passed where every required profile passed and none failed; `bisect` where one failed. The
    strict float32 profile of a float32 bundle's CPU is always run: it shows that the graph itself is right.
    Raises ToolkitError on a bundle or data unfit for a proof.
    """
    bundle, data = open_both(path, data_path, config)
    check_onnx(bundle.model_bytes(), bundle.contract, int8=bundle.int8)
    proof = prepare(bundle, data, config)
    config = proof.config
    about = _about(bundle, data, proof, config)
    strict = profile_of("cpu", int8=bundle.int8)
    asked = [*(profile_of(p, int8=bundle.int8) for p in config.providers), *config.profiles]
    tried = asked or [strict, *([] if bundle.int8 else ["cuda-strict"])]
    results = {}
    for name in dict.fromkeys([strict, *tried]):
        result = _run(bundle, data, proof, PROFILES[name], config)
        results[name] = result if result["status"] == "not-run" else {**result, **about}
    write_report(path, bundle.sha256, results)
    passed = all(results[name]["status"] == "passed" for name in asked or [strict])
    passed &= all(r["status"] != "failed" for r in results.values())
    answer = {"passed": passed, "profiles": results, "providers": by_provider(results), "split": config.split}
    answer["blocks"] = len(proof.blocks)
    if any(r["status"] == "failed" for r in results.values()) and not bundle.int8:
        answer["bisect"] = _bisect(bundle, proof.model, proof.blocks)
    return answer


def bisect_bundle(path: Path, data_path: Path, config: ParityConfig) -> dict[str, Any]:
    """Name the first layer of a bundle's graph that departs from float64: {passed, bisect, split, blocks}.

    On the CPU, on a few of the blocks that `prove` would take. Raises ToolkitError as `prove` does.
    """
    bundle, data = open_both(path, data_path, config)
    if bundle.int8:
        raise ToolkitError(f"{path} is int8, of which every layer departs. Bisect the float32 bundle it was made from.")
    few = replace(config, limit=min(config.limit or BLOCKS, BLOCKS))
    blocks = held_out_blocks(data, bundle.stage, bundle.contract.window, few)
    found = _bisect(bundle, bundle.checkpoint().model, blocks)
    return {"passed": not found["departs"], "bisect": found, "split": config.split, "blocks": len(blocks)}


def _bisect(bundle: Bundle, model: Classifier, blocks: Blocks) -> dict[str, Any]:
    """The answer of `bisect`; a graph that does not even run is an answer too."""
    try:
        return bisect(model, bundle.model_bytes(), blocks)
    except ToolkitError as error:
        return {"departs": True, "message": error.message}


def open_both(path: Path, data_path: Path, config: ParityConfig) -> tuple[Bundle, BlockSet]:
    """The bundle and the data, verified, of each other's kind, and the split held out from training."""
    bundle = Bundle.load(path, with_report=False)
    data = BlockSet.load(data_path)
    bundle.check_data(data, any_settings=config.any_settings)
    bundle.check_held_out(data, config.split)
    return bundle, data


def prepare(bundle: Bundle, data: BlockSet, config: ParityConfig) -> Proof:
    """Draw the blocks and compute what is needed of the PyTorch model alone."""
    checkpoint = bundle.checkpoint()
    config, calibration = within_means(checkpoint, config)
    blocks = held_out_blocks(data, bundle.stage, bundle.contract.window, config)
    budget, _ = calibrate(checkpoint.model, calibration)
    reference = reference_logits(checkpoint.model, blocks)
    return Proof(checkpoint.model, calibration, blocks, reference, budget, config)


def within_means(checkpoint: Checkpoint, config: ParityConfig) -> tuple[ParityConfig, Blocks]:
    """The config and the calibration blocks cut to what the model affords; a limit that was asked for stays."""
    model, calibration = checkpoint.model, checkpoint.calibration
    if not len(calibration):
        raise ToolkitError("The checkpoint carries no calibration blocks, so no budget can be set. Train it again.")
    most = affordable(model, calibration)
    batches = affordable_batches(model, calibration, config.batches)
    limit = most if config.limit is None else config.limit
    return replace(config, limit=limit, batches=batches), thinned(calibration, most)


def judge(found: dict[int, NDArray[np.float32]], proof: Proof, budget: Budget) -> dict[str, Any]:
    """The verdict on a sweep's outputs, by batch size."""
    rows = {batch: proof.reference[batch_rows(len(proof.blocks), batch)] for batch in found}
    result = summarise({batch: compare(logits, rows[batch], budget) for batch, logits in found.items()})
    return {
        **result,
        "ratio": budget.ratio(result["rms"]),
        "rms_budget": budget.rms,
        "max_budget": budget.max,
        "reference_rms": budget.reference_rms,
        "reference_max": budget.reference_max,
        "calibration_blocks": budget.blocks,
    }


def _run(bundle: Bundle, data: BlockSet, proof: Proof, profile: Profile, config: ParityConfig) -> dict[str, Any]:
    """Run one profile: in this process, or in its own where it needs process-wide switches."""
    about: dict[str, Any] = {"profile": profile.name, "provider": profile.provider, "precision": profile.precision}
    about["budget_assumed"] = profile.budget_assumed
    try:
        if reason := unfit(profile, int8=bundle.int8):
            raise ProviderUnavailable(reason)
        if profile.environment is None:
            luma, qindex = proof.blocks.luma, proof.blocks.qindex
            found = run_all(lambda: bundle.session(profile.provider), luma, qindex, config.batches)
        else:
            found = run_apart(bundle.path, proof.blocks, profile, config.batches)
        verdict = _judge_profile(found, proof, profile, len(bundle.classes), config.seed)
    except ProviderUnavailable as error:
        return {**about, "status": "not-run", "reason": error.message, "comparisons": 0}
    except ToolkitError as error:
        empty = {**summarise({}), "placement": {}, "repeatability": {}, "batch_variance": {}, "worst": [], "gpu": {}}
        return {**about, **empty, "status": "failed", "reason": error.message}
    size = FULL_BATCH if FULL_BATCH in found.logits else config.batches[0]
    rows = batch_rows(len(proof.blocks), size)
    worst = worst_blocks(found.logits[size], proof.reference[rows], proof.blocks[rows], data, bundle.classes)
    gpu = gpu_versions() if profile.provider != "cpu" else {}
    verdict["batch_variance"] = between_batches(found.logits, len(proof.blocks))
    return {**about, **verdict, "placement": found.placement, "worst": worst, "gpu": gpu}


def _judge_profile(found: Outputs, proof: Proof, profile: Profile, classes: int, seed: int) -> dict[str, Any]:
    """Errors within the profile's budget, or of an int8 graph decisions no worse; and the same again when repeated."""
    if profile.precision == "int8":
        verdict = judge_int8(found.logits, proof.reference, proof.blocks, classes, seed)
        allowed = 0.0
    else:
        budget = proof.budget
        if profile.precision != "float32":
            budget = calibrate_on_gpu(proof.model, proof.calibration, profile.precision)
        verdict = judge(found.logits, proof, budget)
        allowed = budget.max
    strange = [name for name, r in found.repeats.items() if r["largest"] is None or r["largest"] > allowed]
    if strange:
        reason = f"not repeatable in the {' and the '.join(strange)}"
        verdict |= {"status": "failed", "reason": "; ".join(filter(None, [verdict["reason"], reason]))}
    return {**verdict, "repeatability": found.repeats}


def _about(bundle: Bundle, data: BlockSet, proof: Proof, config: ParityConfig) -> dict[str, Any]:
    """What every result of a run says of its ingredients."""
    files = bundle.manifest["files"]
    drawn = hashlib.sha256()
    for array in (proof.blocks.luma, proof.blocks.qindex, proof.blocks.partition):
        drawn.update(np.ascontiguousarray(array).tobytes())
    sources = [s["sha256"] for s in data.sources if s["split"] == config.split]
    return {
        "blocks": len(proof.blocks),
        "classes": list(bundle.classes),
        "any_settings": config.any_settings,
        "held_out": "checked" if bundle.training_known else "unknown: an imported model",
        "data": {
            "sha256": data.sha256,
            "split": config.split,
            "split_sha256": hashlib.sha256(canonical_json(sources)).hexdigest(),
            "blocks_sha256": drawn.hexdigest(),
            "limit": config.limit,
            "seed": config.seed,
        },
        "model_sha256": files["model.onnx"]["sha256"],
        "checkpoint_sha256": files["checkpoint.pt"]["sha256"],
        "versions": versions() | {"python": platform.python_version(), "machine": platform.machine()},
    }
