"""Whether the gate can fail: faults planted in copies of a bundle's graph must be caught, the untouched graph pass."""

from pathlib import Path
from typing import Any

import onnx

from export.bundle import Bundle
from export.config import ParityConfig
from export.faults import FAULTS, NotApplicable
from export.onnx import check_onnx
from export.parity import Proof, judge, prepare
from export.runtime import RuntimeModel
from export.sweep import sweep
from toolkit.blocks import BlockSet
from toolkit.errors import ToolkitError

BATCH = (64,)


def selftest(path: Path, data_path: Path, config: ParityConfig) -> dict[str, Any]:
    """Judge the graph and a copy with each fault of FAULTS, on the CPU, exactly as `prove` would.

    Returns {passed, faults: {name: {status: caught|missed|not-applicable, reason}}, split, blocks}, the untouched graph
    among them as passed or failed. Writes nothing. Raises ToolkitError as `prove` does.
    """
    bundle = Bundle.load(path, with_report=False)
    data = BlockSet.load(data_path)
    bundle.check_data(data, any_settings=config.any_settings)
    bundle.check_held_out(data, config.split)
    proof = prepare(bundle, data, config)
    model = bundle.model_bytes()
    untouched = _reason(bundle, model, proof)
    faults = {"nothing": {"status": "failed" if untouched else "passed", "reason": untouched}}
    for name, plant in FAULTS.items():
        copy = onnx.load_model_from_string(model)
        try:
            plant(copy)
        except NotApplicable as error:
            faults[name] = {"status": "not-applicable", "reason": str(error)}
            continue
        reason = _reason(bundle, copy.SerializeToString(), proof)
        faults[name] = {"status": "caught" if reason else "missed", "reason": reason}
    passed = not untouched and all(f["status"] != "missed" for f in faults.values())
    return {"passed": passed, "faults": faults, "split": config.split, "blocks": len(proof.blocks)}


def _reason(bundle: Bundle, model: bytes, proof: Proof) -> str:
    """Why the gate refuses this graph; empty where it passes."""
    try:
        check_onnx(model, bundle.contract)
        session = RuntimeModel(model, bundle.contract)
        found = sweep(session, proof.blocks.luma, proof.blocks.qindex, BATCH)
    except ToolkitError as error:
        return error.message
    return str(judge(found, proof)["reason"])
