"""From a checkpoint to a sealed bundle: refused where the model is worthless, compared before it is put in place."""

import math
import re
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from export.bundle.bundle import FORMAT_VERSION, KIND, MANIFEST, SIZE_LIMITS, Bundle
from export.bundle.model_card import model_card
from export.compare.batches import batch_rows, sweep
from export.compare.budget import calibrate, compare, summarise
from export.compare.flops import affordable, thinned
from export.graph.contract import Contract
from export.graph.export import OPSET, export_onnx
from export.graph.runtime import RuntimeModel
from toolkit.errors import ToolkitError
from toolkit.files import atomic_folder, atomic_write_json, seal, sha256_file
from toolkit.model.checkpoint import Checkpoint, environment, load_checkpoint, save_checkpoint
from toolkit.model.network import predict
from toolkit.training.run_folder import checkpoint_file
from toolkit.training.selection import reevaluated_best

EXPORT_BATCHES = (1, 64)


@dataclass(frozen=True)
class Chosen:
    """The checkpoint file to export and why it is this one."""

    path: Path
    reason: str


def choose_checkpoint(run_or_checkpoint: Path, epoch: int | None = None, data: Path | None = None) -> Chosen:
    """A checkpoint file as it is; of a run the given epoch, or the best one, evaluated again (on `data`).

    Raises ToolkitError where there is no such run, file or epoch, for an epoch of a single file, and where the best
    epoch's file does not give its recorded score.
    """
    path = checkpoint_file(run_or_checkpoint, epoch, lambda run: reevaluated_best(run, data))
    if not run_or_checkpoint.is_dir():
        if path is None:
            raise ToolkitError(f"{run_or_checkpoint}: --epoch is for a run folder, this is one checkpoint file.")
        return Chosen(path, "the file given")
    if path is None:
        raise ToolkitError(f"{run_or_checkpoint}: has no epoch {epoch}. See `av1part select {run_or_checkpoint}`.")
    return Chosen(path, "best macro_f1 of the run, evaluated again" if epoch is None else f"epoch {epoch}, as asked")


def weaknesses(checkpoint: Checkpoint) -> list[str]:
    """Why the model is not worth shipping; empty where it is."""
    found = []
    score, constant = checkpoint.metrics["macro_f1"], checkpoint.baselines["best_constant"]["macro_f1"]
    if not math.isfinite(score):
        raise ToolkitError(f"Epoch {checkpoint.epoch}: validation macro-F1 is {score}. Choose another epoch.")
    if score <= constant:
        found.append(f"validation macro-F1 {score:.4f} does not beat the best constant predictor's {constant:.4f}")
    calibration = checkpoint.calibration
    decisions = np.unique(predict(checkpoint.model, calibration.luma, calibration.qindex, 256).argmax(1).numpy())
    if len(decisions) == 1:
        name = checkpoint.config.classes[int(decisions[0])]
        found.append(f"the output is one constant: {name} for each of {len(calibration)} calibration blocks")
    return found


def write_bundle(chosen: Chosen, output: Path, *, allow_weak: bool = False, overwrite: bool = False) -> Bundle:
    """Export a checkpoint, compare the ONNX file with PyTorch, and only then put the bundle in place.

    Raises ToolkitError on a weak model (unless `allow_weak`, which the manifest records), on a graph or an output that
    is not the model's, and where `output` exists (unless `overwrite`).
    """
    checkpoint = load_checkpoint(chosen.path)
    weak = weaknesses(checkpoint)
    if weak and not allow_weak:
        raise ToolkitError(
            f"{chosen.path}: {'; '.join(weak)}. Train longer or on more data, choose another epoch, or pass "
            "--allow-weak, which the bundle will say."
        )
    with atomic_folder(output, overwrite=overwrite) as folder:
        # Everything below is made from the checkpoint that ships, not from the one it was copied from.
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
            "kind": KIND,
            "format_version": FORMAT_VERSION,
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
        (folder / "MODEL_CARD.md").write_text(model_card(body), encoding="utf-8")
        files = {n: {"bytes": (folder / n).stat().st_size, "sha256": sha256_file(folder / n)} for n in SIZE_LIMITS}
        atomic_write_json(folder / MANIFEST, seal({**body, "files": files}))
        Bundle.load(folder)  # what is put in place is what its consumers accept
    return Bundle.load(output)


def versions() -> dict[str, str]:
    """Versions of the packages that decide what is exported and how it runs."""
    names = ("av1part", "onnx", "onnxscript", "onnxruntime-gpu")
    return environment() | {name: version(name) for name in names}


def _compare(model: bytes, checkpoint: Checkpoint) -> dict[str, Any]:
    """ONNX Runtime on the CPU against float64 on the calibration blocks."""
    calibration = checkpoint.calibration
    if len(calibration):
        calibration = thinned(calibration, affordable(checkpoint.model, calibration))
    budget, reference = calibrate(checkpoint.model, calibration)
    runtime = RuntimeModel(model, Contract.of(checkpoint.config))
    batches = {min(size, len(calibration)) for size in EXPORT_BATCHES}
    found = sweep(runtime, calibration.luma, calibration.qindex, sorted(batches))
    comparisons = {b: compare(y, reference[batch_rows(len(calibration), b)], budget) for b, y in found.items()}
    result = summarise(comparisons)
    return {**result, "rms_budget": budget.rms, "max_budget": budget.max, "ratio": budget.ratio(result["rms"])}


def without_paths(value: Any) -> Any:
    """The value with every absolute path cut to its last part: a bundle must not tell where it was made."""
    if isinstance(value, dict):
        return {without_paths(k): without_paths(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(v) for v in value]
    if isinstance(value, str):
        return re.sub(r"(?<![\w.:/\\-])(?:[A-Za-z]:)?[/\\](?:[^\s/\\]+[/\\])*(?=[^\s/\\])", "", value)
    return value
