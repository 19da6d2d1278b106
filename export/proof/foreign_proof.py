"""The same proof for an ONNX file that we did not write: against the checkpoint that it is said to come from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.bundle.write import versions
from export.compare.batches import batch_rows
from export.compare.budget import Budget, calibrate, compare, reference_logits, summarise
from export.graph.contract import Contract
from export.proof.config import ParityConfig
from export.proof.foreign import ForeignModel
from export.proof.foreign_config import AgainstConfig
from export.proof.held_out import held_out_blocks
from export.proof.prove import within_means
from toolkit.data.blockset import Blocks, BlockSet
from toolkit.files import atomic_write_json, seal, sha256_file
from toolkit.model.checkpoint import Checkpoint, load_checkpoint
from toolkit.model.provenance import is_known
from toolkit.model.suitability import check_bit_depth, check_settings, check_unseen

KIND = "av1part-parity-against"
FORMAT_VERSION = 1
_TRIAL = 64


def prove_against(
    model: Path, checkpoint_path: Path, data_path: Path, config: ParityConfig, graph: AgainstConfig
) -> dict[str, Any]:
    """Compare a foreign ONNX file on the CPU with the checkpoint's float64 model on held-out blocks.

    Returns {passed, reason, comparisons, rms, max, batches, model, inputs, ...}, sealed; writes nothing. The rules and
    budgets are `prove`'s; where it fails, `hint` names an input scale with which it would not. Raises ToolkitError on
    a graph that takes no blocks of ours, and on data unfit for a proof.
    """
    checkpoint = load_checkpoint(checkpoint_path)
    data = BlockSet.load(data_path)
    check_data(checkpoint, data, config, checkpoint_path)
    foreign = ForeignModel(model, Contract.of(checkpoint.config), graph)
    config, calibration = within_means(checkpoint, config)
    blocks = held_out_blocks(data, checkpoint.stage, checkpoint.config.window, config)
    budget, _ = calibrate(checkpoint.model, calibration)
    reference = reference_logits(checkpoint.model, blocks)
    batches = (foreign.batch,) if foreign.batch else config.batches
    result = summarise({size: _compare_in(foreign, blocks, reference, budget, size) for size in batches})
    passed = result["status"] == "passed"
    return seal(
        {
            "kind": KIND,
            "format_version": FORMAT_VERSION,
            "passed": passed,
            **result,
            "hint": "" if passed else _hint(model, foreign, blocks, reference, budget),
            "rms_budget": budget.rms,
            "max_budget": budget.max,
            "ratio": budget.ratio(result["rms"]),
            "blocks": len(blocks),
            "split": config.split,
            "model": foreign.files,
            "inputs": {
                "luma": {"name": foreign.luma.name, "layout": foreign.layout, "scale": graph.input_scale},
                "qindex": {"name": foreign.qindex.name, "scale": graph.qindex_scale} if foreign.qindex else None,
            },
            "output": foreign.output,
            "checkpoint": {
                "sha256": sha256_file(checkpoint_path),
                "stage": checkpoint.stage,
                "backbone": checkpoint.config.backbone,
                "epoch": checkpoint.epoch,
            },
            "data": {"sha256": data.sha256, "split": config.split, "limit": config.limit, "seed": config.seed},
            "held_out": "checked" if is_known(checkpoint.provenance) else "unknown: an imported model",
            "any_settings": config.any_settings,
            "versions": versions(),
        }
    )


def write_report(path: Path, result: dict[str, Any]) -> None:
    """Write what `prove_against` returned as JSON."""
    atomic_write_json(path, result)


def check_data(checkpoint: Checkpoint, data: BlockSet, config: ParityConfig, path: Path) -> None:
    """Raise ToolkitError unless the data are what the checkpoint's model was made for, and held out from it."""
    check_bit_depth(path, checkpoint.config.bit_depth, data)
    if not config.any_settings:
        check_settings(path, checkpoint.encoder, data)
    check_unseen(checkpoint.provenance, data, config.split)


def _compare_in(
    foreign: ForeignModel, blocks: Blocks, reference: NDArray[np.float64], budget: Budget, batch: int
) -> Any:
    rows = batch_rows(len(blocks), batch)
    parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
    found = np.concatenate([foreign.logits(blocks.luma[part], blocks.qindex[part]) for part in parts])
    return compare(found, reference[rows], budget)


def _hint(model: Path, foreign: ForeignModel, blocks: Blocks, reference: NDArray[np.float64], budget: Budget) -> str:
    """The scale that was meant, if one of the usual makes a few blocks equal; never used for a verdict."""
    peak, own = (1 << blocks.bit_depth) - 1, foreign.config
    if np.issubdtype(foreign.luma.dtype, np.integer):
        return ""
    few = blocks[:_TRIAL]
    scales = {"1": 1.0, f"1/{peak}": 1 / peak, f"1/{peak + 1}": 1 / (peak + 1), f"1/{peak}*1/{peak}": 1 / peak**2}
    for text, scale in scales.items():
        for qtext, qscale in {"1": 1.0, "1/255": 1 / 255}.items():
            trial = ForeignModel(model, foreign.contract, replace(own, input_scale=scale, qindex_scale=qscale))
            if not compare(trial.logits(few.luma, few.qindex), reference[: len(few)], budget).reasons:
                return f"{len(few)} blocks are equal with --input-scale {text} --qindex-scale {qtext}."
    return ""
