"""Export of a checkpoint to a sealed bundle: worthless models are refused, graphs compared before they are in place."""

import math
import re
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from export.bundle.bundle import FORMAT, SIZE_LIMITS, Bundle
from export.bundle.model_card import model_card
from export.compare.batches import run_batches
from export.compare.budget import set_budget
from export.compare.flops import affordable_budget_blocks
from export.compare.verdict import Verdict, judge
from export.graph.check import OPSET
from export.graph.contract import Contract
from export.graph.export import export_onnx
from export.graph.instruction_set import instruction_set
from export.graph.runtime import RuntimeModel
from toolkit.errors import ToolkitError
from toolkit.files import atomic_folder, canonical_json, quoted, sha256_file
from toolkit.model.checkpoint import Checkpoint, environment, load_checkpoint, save_checkpoint
from toolkit.model.network import predict
from toolkit.training.run_folder import checkpoint_file
from toolkit.training.selection import reevaluated_best

EXPORT_BATCHES = (1, 64)


@dataclass(frozen=True)
class Chosen:
    """The checkpoint file to export, and the reason for choosing it."""

    path: Path
    reason: str


def choose_checkpoint(run_or_checkpoint: Path, epoch: int | None = None, data: Path | None = None) -> Chosen:
    """The given checkpoint file; of a run the given epoch, or without one the best, evaluated again (on `data`).

    Raises ToolkitError for a run, file or epoch that does not exist, for an epoch of a single file, and where the best
    epoch's file does not give its recorded score.
    """
    path = checkpoint_file(run_or_checkpoint, epoch, lambda run: reevaluated_best(run, data))
    if not run_or_checkpoint.is_dir():
        if path is None:
            raise ToolkitError(f"{run_or_checkpoint}: --epoch is for a run folder, this is one checkpoint file.")
        return Chosen(path, "the file given")
    if path is None:
        raise ToolkitError(
            f"{run_or_checkpoint}: has no epoch {epoch}. See `av1part select {quoted(run_or_checkpoint)}`."
        )
    return Chosen(path, "best macro_f1 of the run, evaluated again" if epoch is None else f"epoch {epoch}, as asked")


def weaknesses(checkpoint: Checkpoint) -> list[str]:
    """Reasons why the model is not worth shipping; empty where it is."""
    found = []
    score = checkpoint.macro_f1
    if not math.isfinite(score):
        raise ToolkitError(f"Epoch {checkpoint.epoch}: validation macro-F1 is {score}. Choose another epoch.")
    _check_scored(checkpoint)
    constant = checkpoint.baselines["best_constant"]["macro_f1"]
    if score <= constant:
        found.append(f"validation macro-F1 {score:.4f} does not beat the best constant predictor's {constant:.4f}")
    blocks = checkpoint.calibration
    decisions = np.unique(predict(checkpoint.model, *blocks.inputs, batch=256).argmax(1).numpy())
    if len(decisions) == 1:
        name = checkpoint.config.classes[int(decisions[0])]
        found.append(f"the output is one constant: {name} for each of {len(blocks)} calibration blocks")
    return found


def _check_scored(checkpoint: Checkpoint) -> None:
    """Raise ToolkitError unless every score that a bundle names was recorded, as a number."""
    metrics, best = checkpoint.metrics, checkpoint.baselines.get("best_constant", {})
    lacking = [f"{c} F1" for c in checkpoint.config.classes if "f1" not in metrics.get("per_class", {}).get(c, {})]
    lacking += ["accuracy"] * ("accuracy" not in metrics)
    lacking += [f"best constant's {name}" for name in ("class", "macro_f1", "accuracy") if name not in best]
    if lacking:
        raise ToolkitError(f"Epoch {checkpoint.epoch}: no {', '.join(lacking)} is recorded. Train again.")
    try:
        canonical_json(metrics)
    except ValueError:
        raise ToolkitError(f"Epoch {checkpoint.epoch}: a score is not a number. Choose another epoch.") from None


def write_bundle(chosen: Chosen, output: Path, *, allow_weak: bool = False, overwrite: bool = False) -> Bundle:
    """Export a checkpoint, compare the ONNX file with PyTorch, and only then put the bundle in place.

    Raises ToolkitError for a weak model (unless `allow_weak`, which the manifest records), for a graph that departs
    from the contract or from the model's logits, and where `output` exists (unless `overwrite`).
    """
    checkpoint = load_checkpoint(chosen.path)
    weak = weaknesses(checkpoint)
    if weak and not allow_weak:
        raise ToolkitError(
            f"{chosen.path}: {'; '.join(weak)}. Train longer or on more data, choose another epoch, or pass "
            "--allow-weak, which the bundle will say."
        )
    with atomic_folder(output, overwrite=overwrite) as folder:
        # Everything below is made from the checkpoint that ships, not from its original.
        provenance = without_paths(checkpoint.provenance)
        save_checkpoint(folder / "checkpoint.pt", replace(checkpoint, provenance=provenance))
        checkpoint = load_checkpoint(folder / "checkpoint.pt")
        model = export_onnx(checkpoint.model)
        check = _compare(model, checkpoint)
        if check["status"] != "passed":
            raise ToolkitError(
                f"{chosen.path}: ONNX Runtime does not give PyTorch's logits ({check['reason']}). Nothing was "
                "written. Check the versions of torch, onnx and onnxruntime."
            )
        body = {
            "contract": Contract.of(checkpoint.config).to_dict(),
            "backbone": checkpoint.config.backbone,
            "opset": OPSET,
            "encoder": checkpoint.encoder,
            "weak": weak,
            "export_check": check,
            "provenance": {
                "train_sources": [],
                **provenance,
                "checkpoint_sha256": sha256_file(chosen.path),
                "chosen": chosen.reason,
                "epoch": checkpoint.epoch,
                "metrics": checkpoint.metrics,
                "baselines": checkpoint.baselines,
                "data_sha256": checkpoint.data_sha256,
                "exported_with": versions(),
            },
        }
        (folder / "model.onnx").write_bytes(model)
        card = model_card(checkpoint, chosen.reason, weak)
        (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
        files = {n: {"bytes": (folder / n).stat().st_size, "sha256": sha256_file(folder / n)} for n in SIZE_LIMITS}
        FORMAT.write({**body, "files": files}, folder)
        Bundle.load(folder)  # put in place only what consumers accept
    return Bundle.load(output)


def versions() -> dict[str, str]:
    """Versions of the packages that decide how a graph is exported and how it runs, and the CPU's instruction set."""
    names = ("av1part", "onnx", "onnxscript", "onnxruntime-gpu")
    return environment() | {name: version(name) for name in names} | {"instruction_set": instruction_set()}


def _compare(model: bytes, checkpoint: Checkpoint) -> Verdict:
    """Compare ONNX Runtime on the CPU with float64 on the budget blocks."""
    blocks = affordable_budget_blocks(checkpoint.model, checkpoint.calibration)
    budget, reference = set_budget(checkpoint.model, blocks)
    runtime = RuntimeModel(model, Contract.of(checkpoint.config))
    batches = sorted({min(size, len(blocks)) for size in EXPORT_BATCHES})
    return judge(run_batches(runtime.one_call, blocks.inputs, batches), reference, budget)


def without_paths(value: Any) -> Any:
    """Cut every absolute path in the value to its last part: a bundle must not tell where it was made."""
    if isinstance(value, dict):
        return {without_paths(k): without_paths(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(v) for v in value]
    if isinstance(value, str):
        return re.sub(r"(?<![\w.:/\\-])(?:[A-Za-z]:)?[/\\](?:[^\s/\\]+[/\\])*(?=[^\s/\\])", "", value)
    return value
