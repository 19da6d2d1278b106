"""The proof that a bundle's ONNX file is the model that was trained: same numbers, same decisions, held-out blocks."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.bundle import Bundle
from export.bundle_write import versions
from export.compare import Budget, calibrate, compare, reference_logits, summarise
from export.config import ParityConfig
from export.onnx import check_onnx
from export.parity_report import write_report
from export.runtime import ProviderUnavailable
from export.sweep import batch_rows, sweep
from toolkit.blocks import Blocks, BlockSet
from toolkit.errors import ToolkitError
from toolkit.model import PartitionNet
from toolkit.partition import STAGES
from toolkit.stratify import stratified_index

STRICT = {"cuda": {"NVIDIA_TF32_OVERRIDE": "0"}}
"""Providers that run in a process of their own, and the switches that such a process starts with for good."""


@dataclass(frozen=True)
class Proof:
    """What outputs are compared with: blocks, their float64 logits, and the budget from the calibration blocks."""

    model: PartitionNet
    blocks: Blocks
    reference: NDArray[np.float64]
    budget: Budget


def prove(path: Path, data_path: Path, config: ParityConfig) -> dict[str, Any]:
    """Compare a bundle with its PyTorch model on held-out blocks and write the report into the bundle.

    Returns {passed, providers: {name: {status, reason, comparisons, ...}}, split, blocks} of this run: passed where
    every required provider passed and none failed. Raises ToolkitError on a bundle or data unfit for a proof.
    """
    bundle = Bundle.load(path, with_report=False)
    data = BlockSet.load(data_path)
    bundle.check_data(data, any_settings=config.any_settings)
    bundle.check_held_out(data, config.split)
    check_onnx(bundle.model_bytes(), bundle.contract)
    proof = prepare(bundle, data, config)
    about = {
        "data": {"sha256": data.sha256, "split": config.split, "limit": config.limit, "seed": config.seed},
        "blocks": len(proof.blocks),
        "rms_budget": proof.budget.rms,
        "max_budget": proof.budget.max,
        "reference_rms": proof.budget.reference_rms,
        "reference_max": proof.budget.reference_max,
        "calibration_blocks": proof.budget.blocks,
        "any_settings": config.any_settings,
        "held_out": "checked" if bundle.training_known else "unknown: an imported model",
        "versions": versions(),
    }
    required = config.providers or ("cpu",)
    results = {}
    for provider in config.providers or ("cpu", "cuda"):
        result = _run(bundle, proof, provider, config)
        if result["status"] != "not-run":
            result |= {**about, "ratio": proof.budget.ratio(result["rms"])}
        results[provider] = result
    write_report(path, bundle.sha256, results)
    passed = all(results[p]["status"] == "passed" for p in required)
    passed &= all(r["status"] != "failed" for r in results.values())
    return {"passed": passed, "providers": results, "split": config.split, "blocks": len(proof.blocks)}


def prepare(bundle: Bundle, data: BlockSet, config: ParityConfig) -> Proof:
    """Draw the blocks and compute what is needed of the PyTorch model alone."""
    checkpoint = bundle.checkpoint()
    budget, _ = calibrate(checkpoint.model, checkpoint.calibration)
    index = data.split_index(config.split, bundle.stage)
    everything = data.blocks[index]
    target = STAGES[bundle.stage].targets(everything["partition"])
    chosen = index[stratified_index(target, everything["qindex"], config.limit, config.seed)]
    blocks = data.take(chosen, bundle.stage)
    return Proof(checkpoint.model, blocks, reference_logits(checkpoint.model, blocks), budget)


def judge(found: dict[int, NDArray[np.float32]], proof: Proof) -> dict[str, Any]:
    """The verdict on a sweep's outputs, by batch size."""
    rows = {batch: proof.reference[batch_rows(len(proof.blocks), batch)] for batch in found}
    return summarise({batch: compare(logits, rows[batch], proof.budget) for batch, logits in found.items()})


def _run(bundle: Bundle, proof: Proof, provider: str, config: ParityConfig) -> dict[str, Any]:
    """Run one provider: in this process, or in its own where it needs process-wide switches."""
    try:
        if provider in STRICT:
            found, placement = run_apart(bundle.path, proof.blocks, provider, config.batches, STRICT[provider])
        else:
            session = bundle.session(provider)
            placement = session.placement
            found = sweep(session, proof.blocks.luma, proof.blocks.qindex, config.batches)
    except ProviderUnavailable as error:
        return {"status": "not-run", "reason": error.message, "comparisons": 0}
    except ToolkitError as error:
        return {**summarise({}), "status": "failed", "reason": error.message, "placement": {}}
    return {**judge(found, proof), "placement": placement}


def run_apart(
    bundle: Path, blocks: Blocks, provider: str, batches: tuple[int, ...], switches: dict[str, str]
) -> tuple[dict[int, NDArray[np.float32]], dict[str, int]]:
    """A sweep in a fresh process that has these environment variables: (logits by batch size, node placement).

    Raises ProviderUnavailable as the session there does, and ToolkitError where the process fails otherwise.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "inputs.npz", luma=blocks.luma, qindex=blocks.qindex)
        job = {"bundle": str(bundle.resolve()), "provider": provider, "batches": batches}
        (folder / "job.json").write_text(json.dumps(job))
        # This package may be importable from the current folder alone.
        search = os.pathsep.join([str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")])
        process = subprocess.run(
            [sys.executable, "-m", "export.worker", str(folder)],
            env={**os.environ, **switches, "PYTHONPATH": search.rstrip(os.pathsep)},
            capture_output=True,
            text=True,
            check=False,
        )
        answer = folder / "answer.json"
        if not answer.is_file():
            last = (process.stderr.strip().splitlines() or ["no message"])[-1][:300]
            raise ToolkitError(f"The {provider} process ended with {process.returncode} and no answer: {last}")
        values = json.loads(answer.read_text())
        if "unavailable" in values:
            raise ProviderUnavailable(values["unavailable"])
        if "error" in values:
            raise ToolkitError(values["error"])
        with np.load(folder / "outputs.npz", allow_pickle=False) as outputs:
            return {batch: outputs[f"batch_{batch}"] for batch in batches}, values["placement"]
