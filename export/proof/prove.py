"""Proof that a bundle's ONNX file is the trained model: the same numbers and decisions on held-out blocks."""

import hashlib
import platform
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from export.bundle.bundle import Bundle
from export.bundle.replay import keep
from export.bundle.report import About, BundleName, ProfileResult, by_provider
from export.bundle.report_write import write_report
from export.bundle.write import versions
from export.compare.batches import FULL_BATCH, Outputs, batch_rows, between_batches
from export.compare.budget import reference_logits, set_budget
from export.compare.config import LIMIT
from export.compare.deployments import run_deployments, with_deployments
from export.compare.flops import affordable, affordable_batches, affordable_budget_blocks
from export.compare.gpu_budget import set_budget_on_gpu
from export.compare.noninferiority import judge_int8
from export.compare.verdict import Budget, judge, summarise, with_repeats
from export.compare.worst_blocks import worst_blocks, worst_rows
from export.graph.check import check_onnx
from export.graph.contract import Contract
from export.graph.profiles import Profile, profile_of
from export.graph.runtime import ProviderUnavailable
from export.graph.vulkan import SOFTWARE
from export.proof.bisect import Bisection, bisect
from export.proof.config import ParityConfig
from export.proof.doctor import gpu_versions
from export.proof.isolated import run_profile
from export.proof.reproduce import Reproducer, reproduce
from toolkit.data.blockset import Blocks, BlockSet
from toolkit.data.sampling import stratified_index
from toolkit.data.splits import HELD_OUT
from toolkit.errors import ToolkitError
from toolkit.files import canonical_json
from toolkit.model.checkpoint import Checkpoint
from toolkit.model.network import Classifier
from toolkit.partition import STAGES


@dataclass(frozen=True)
class Proof:
    """The other side of a comparison: held-out blocks, their float64 logits, and the budget set on `budget_blocks`.

    `config`: the options, with `limit` and `batches` cut to the sizes that the model affords.
    """

    model: Classifier
    budget_blocks: Blocks
    blocks: Blocks
    reference: NDArray[np.float64]
    budget: Budget
    config: ParityConfig


class ParityResult(TypedDict):
    """Result of one run of `prove`. `providers`: the results of `profiles` that prove cpu, cuda or webgpu.

    `bisect`: where the graph departs; only there where a profile of a float32 bundle failed. `reproducers`: by failed
    profile, where its failure was written.
    """

    passed: bool
    profiles: dict[str, ProfileResult]
    providers: dict[str, ProfileResult]
    split: str
    blocks: int
    bisect: NotRequired[Bisection]
    reproducers: NotRequired[dict[str, Reproducer]]


def prove(path: Path, data_path: Path, config: ParityConfig) -> ParityResult:
    """Compare a bundle with its PyTorch model on held-out blocks and write the report into the bundle.

    Passed where every required profile passed and none failed. The bundle's own CPU profile always runs: it shows that
    the graph itself is right. Raises ToolkitError for a bundle or data unfit for a proof.
    """
    bundle, data = open_both(path, data_path, config)
    check_onnx(bundle.model_bytes(), bundle.contract, int8=bundle.int8)
    proof = prepare(bundle.checkpoint(), data, config)
    config = proof.config
    about = _about(bundle, data, proof, config)
    strict = profile_of("cpu", int8=bundle.int8)
    asked = [*(profile_of(p, int8=bundle.int8) for p in config.providers), *config.profiles]
    tried = asked or [strict, *([] if bundle.int8 else ["cuda-strict"])]
    results: dict[str, ProfileResult] = {}
    worst: dict[str, Blocks] = {}
    for name in dict.fromkeys([strict, *tried]):
        result, worst[name] = _run(bundle, data, proof, config.profile(name), config)
        results[name] = result if result["status"] == "not-run" else cast(ProfileResult, {**result, **about})
    named: BundleName = {"name": path.resolve().name, "stage": bundle.stage, "backbone": bundle.manifest["backbone"]}
    write_report(path, bundle.sha256, named, results, keep(proof.blocks, proof.reference))
    passed = all(results[name]["status"] == "passed" for name in asked or [strict])
    passed &= all(r["status"] != "failed" for r in results.values())
    answer: ParityResult = {
        "passed": passed,
        "profiles": results,
        "providers": by_provider(results),
        "split": config.split,
        "blocks": len(proof.blocks),
    }
    failed = [name for name, r in results.items() if r["status"] == "failed"]
    if failed and not bundle.int8:
        answer["bisect"] = _bisect(bundle, proof.model, proof.blocks)
        answer["reproducers"] = {
            name: _reproduce(bundle, proof.model, worst[name], config.profile(name), results[name])
            for name in failed
            if config.profile(name).precision == "float32" and len(worst[name])
        }
    return answer


def _bisect(bundle: Bundle, model: Classifier, blocks: Blocks) -> Bisection:
    """Result of `bisect`; a graph that does not even run departs."""
    try:
        return bisect(model, bundle.model_bytes(), blocks)
    except ToolkitError as error:
        return {"departs": True, "message": error.message}


def _reproduce(
    bundle: Bundle, model: Classifier, blocks: Blocks, profile: Profile, result: ProfileResult
) -> Reproducer:
    """Result of `reproduce`; where the failure cannot be cut down, why."""
    try:
        return reproduce(bundle.path, bundle.model_bytes(), model, blocks, profile, result)
    except ToolkitError as error:
        return {"folder": "", "message": error.message}


def open_both(path: Path, data_path: Path, config: ParityConfig) -> tuple[Bundle, BlockSet]:
    """Open the bundle and the data; ToolkitError unless they fit each other and the split is held out from training."""
    bundle = Bundle.load(path, with_report=False)
    data = BlockSet.load(data_path)
    bundle.check_data(data, any_settings=config.any_settings)
    bundle.check_held_out(data, config.split)
    return bundle, data


def prepare(checkpoint: Checkpoint, data: BlockSet, config: ParityConfig) -> Proof:
    """Draw the held-out blocks and compute the float64 logits and the budget, which need the PyTorch model alone."""
    config, budget_blocks = within_means(checkpoint, config)
    blocks = held_out_blocks(data, Contract.of(checkpoint.config), config)
    budget, _ = set_budget(checkpoint.model, budget_blocks)
    reference = reference_logits(checkpoint.model, blocks)
    return Proof(checkpoint.model, budget_blocks, blocks, reference, budget, config)


def within_means(checkpoint: Checkpoint, config: ParityConfig) -> tuple[ParityConfig, Blocks]:
    """The config and the budget blocks, cut to what the model affords; a limit that was asked for stays."""
    model, blocks = checkpoint.model, checkpoint.calibration
    if not len(blocks):
        raise ToolkitError("The checkpoint carries no calibration blocks, so no budget can be set. Train it again.")
    limit = affordable(model, blocks) if config.limit is None else config.limit
    batches = affordable_batches(model, blocks, config.batches)
    return replace(config, limit=limit, batches=batches), affordable_budget_blocks(model, blocks)


def held_out_blocks(data: BlockSet, contract: Contract, config: ParityConfig) -> Blocks:
    """Blocks of the config's split as the contract takes them, as even over class and qindex as the data allow.

    At most `config.limit`, or LIMIT where it is None, drawn by `config.seed`. Raises ToolkitError where the split has
    no block of the stage, and where the data lack what the contract takes.
    """
    index = _index(data, contract, config.split)
    rows = data.blocks[index]
    target = STAGES[contract.stage].targets(rows["partition"])
    chosen = stratified_index(target, rows["qindex"], config.limit or LIMIT, config.seed)
    return data.take(index[chosen], contract.stage, contract.window)


def _index(data: BlockSet, contract: Contract, split: str) -> NDArray[np.int64]:
    """Positions of the split's blocks of the stage; where it has none, ToolkitError names a split that would do."""
    try:
        return data.split_index(split, contract.stage)
    except ToolkitError as error:
        advice = ""
        for other in (s for s in HELD_OUT if s != split):
            with suppress(ToolkitError):
                count = len(data.split_index(other, contract.stage))
                advice += f" Or pass --split {other}, which has {count}."
        raise ToolkitError(error.message + advice) from None


def _run(
    bundle: Bundle, data: BlockSet, proof: Proof, profile: Profile, config: ParityConfig
) -> tuple[ProfileResult, Blocks]:
    """Run one profile in this process, or in one of its own where it needs process-wide switches.

    Returns its result, and the blocks that it ran, the worst first.
    """
    about: dict[str, Any] = {"profile": profile.name, "provider": profile.provider, "precision": profile.precision}
    about["budget_assumed"] = profile.budget_assumed
    try:
        found = run_profile(bundle, proof.blocks, profile, config.batches)
        verdict = _judge_profile(found, proof, profile, len(bundle.classes), config.seed)
        if profile.provider == "cpu" and not bundle.int8:
            deployed = run_deployments(bundle.model_bytes(), proof.blocks.inputs, proof.reference, proof.budget)
            verdict = with_deployments(verdict, deployed)
    except ProviderUnavailable as error:
        missing = {**about, "status": "not-run", "reason": error.message, "comparisons": 0}
        return cast(ProfileResult, missing), proof.blocks[:0]
    except ToolkitError as error:
        empty = {**summarise({}), "placement": {}, "repeatability": {}, "batch_variance": {}, "worst": [], "gpu": {}}
        return cast(ProfileResult, {**about, **empty, "status": "failed", "reason": error.message}), proof.blocks[:0]
    size = FULL_BATCH if FULL_BATCH in found.logits else config.batches[0]
    rows = batch_rows(len(proof.blocks), size)
    logits, exact, blocks = found.logits[size], proof.reference[rows], proof.blocks[rows]
    worst = worst_blocks(logits, exact, blocks, data, bundle.classes)
    gpu = found.device or (gpu_versions() if profile.provider in ("cuda", "tensorrt") else {})
    about["budget_assumed"] &= gpu.get("kind") != SOFTWARE
    verdict["batch_variance"] = between_batches(found.logits, len(proof.blocks))
    result = {**about, **verdict, "placement": found.placement, "worst": worst, "gpu": gpu}
    return cast(ProfileResult, result), blocks[worst_rows(logits, exact)]


def _judge_profile(found: Outputs, proof: Proof, profile: Profile, classes: int, seed: int) -> dict[str, Any]:
    """Judge errors by the profile's budget, or of an int8 graph the decisions; either must repeat."""
    verdict: dict[str, Any]
    if profile.precision == "int8":
        verdict = {**judge_int8(found.logits, proof.reference, proof.blocks, classes, seed)}
        allowed = 0.0
    else:
        budget = proof.budget
        if profile.precision != "float32":
            budget = set_budget_on_gpu(proof.model, proof.budget_blocks, profile.precision)
        verdict = {**judge(found.logits, proof.reference, budget), **_origin(budget)}
        allowed = budget.max
    return with_repeats(verdict, found.repeats(), allowed)


def _origin(budget: Budget) -> dict[str, float]:
    """Report entries that say how a budget came about."""
    return {
        "reference_rms": budget.reference_rms,
        "reference_max": budget.reference_max,
        "calibration_blocks": budget.blocks,
    }


def _about(bundle: Bundle, data: BlockSet, proof: Proof, config: ParityConfig) -> About:
    """Report entries on the blocks, files and packages of a run; the same for every profile."""
    files = bundle.manifest["files"]
    drawn = hashlib.sha256()
    for array in (*proof.blocks.inputs, proof.blocks.partition):
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
