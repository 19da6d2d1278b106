"""Proof of an ONNX file of other making against the checkpoint that it is said to come from."""

from dataclasses import replace
from pathlib import Path
from typing import TypedDict, cast

import numpy as np

from export.bundle.write import versions
from export.compare.batches import run_batches
from export.compare.verdict import Verdict, compare, judge
from export.graph.contract import Contract
from export.proof.config import ForeignConfig, ParityConfig
from export.proof.foreign import ForeignModel
from export.proof.prove import Proof, prepare
from toolkit.data.blockset import BlockSet
from toolkit.files import seal, sha256_file
from toolkit.model.checkpoint import Checkpoint, load_checkpoint
from toolkit.model.provenance import is_known
from toolkit.model.suitability import check_bit_depth, check_settings, check_unseen

KIND = "av1part-parity-against"
FORMAT_VERSION = 1
_TRIAL = 64


class LumaInput(TypedDict):
    """The luma input: its name, layout and the factor on code values."""

    name: str
    layout: str
    scale: float


class QindexInput(TypedDict):
    """The qindex input: its name and the factor on the qindex."""

    name: str
    scale: float


class Inputs(TypedDict):
    """How the graph was fed; `qindex` is None for a graph without such an input."""

    luma: LumaInput
    qindex: QindexInput | None


class ForeignReport(Verdict):
    """Sealed result of `prove_foreign`. `hint`: an input scale with which the comparison would pass, or empty.

    `model`: sha256 of the graph's files, by name. `blocks`: number of blocks compared.
    """

    kind: str
    format_version: int
    passed: bool
    hint: str
    blocks: int
    split: str
    model: dict[str, str]
    inputs: Inputs
    output: str
    checkpoint: dict[str, str | int]
    data: dict[str, str | int | None]
    held_out: str
    any_settings: bool
    versions: dict[str, str]
    sha256: str


def prove_foreign(
    model: Path, checkpoint_path: Path, data_path: Path, config: ParityConfig, graph: ForeignConfig
) -> ForeignReport:
    """Compare a foreign ONNX file on the CPU with the checkpoint's float64 model on held-out blocks.

    Rules and budgets are the same as in `prove`. Writes nothing. Raises ToolkitError for a graph that cannot take our
    blocks and for data unfit for a proof.
    """
    checkpoint = load_checkpoint(checkpoint_path)
    data = BlockSet.load(data_path)
    check_data(checkpoint, data, config, checkpoint_path)
    foreign = ForeignModel(model, Contract.of(checkpoint.config), graph)
    proof = prepare(checkpoint, data, config)
    config, blocks = proof.config, proof.blocks
    batches = (foreign.batch,) if foreign.batch else config.batches
    result = judge(run_batches(foreign.logits, blocks.inputs, batches), proof.reference, proof.budget)
    passed = result["status"] == "passed"
    report = seal(
        {
            "kind": KIND,
            "format_version": FORMAT_VERSION,
            "passed": passed,
            **result,
            "hint": "" if passed else _hint(model, foreign, proof),
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
    return cast(ForeignReport, report)


def check_data(checkpoint: Checkpoint, data: BlockSet, config: ParityConfig, path: Path) -> None:
    """Raise ToolkitError unless the data fit the checkpoint's model and are held out from its training."""
    check_bit_depth(path, checkpoint.config.bit_depth, data)
    if not config.any_settings:
        check_settings(path, checkpoint.encoder, data)
    check_unseen(checkpoint.provenance, data, config.split)


def _hint(model: Path, foreign: ForeignModel, proof: Proof) -> str:
    """Input scale that was probably meant: a usual one that makes a few blocks equal. Never used for a verdict."""
    peak, own = (1 << proof.blocks.bit_depth) - 1, foreign.config
    if np.issubdtype(foreign.luma.dtype, np.integer):
        return ""
    few = proof.blocks[:_TRIAL]
    scales = {"1": 1.0, f"1/{peak}": 1 / peak, f"1/{peak + 1}": 1 / (peak + 1), f"1/{peak}*1/{peak}": 1 / peak**2}
    for text, scale in scales.items():
        for qtext, qscale in {"1": 1.0, "1/255": 1 / 255}.items():
            trial = ForeignModel(model, foreign.contract, replace(own, input_scale=scale, qindex_scale=qscale))
            if not compare(trial.logits(few.luma, few.qindex), proof.reference[: len(few)], proof.budget)["reasons"]:
                return f"{len(few)} blocks are equal with --input-scale {text} --qindex-scale {qtext}."
    return ""
