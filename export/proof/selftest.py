"""Self-test of the proof: faults planted in copies of a bundle must be caught, and the untouched bundle must pass."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypedDict

import numpy as np
import onnx

from export.bundle.bundle import Bundle
from export.compare.batches import run_batches
from export.compare.budget import reference_logits
from export.compare.verdict import judge
from export.graph.check import check_onnx
from export.graph.export import export_onnx
from export.graph.profiles import PROFILES, Profile, check_strict
from export.graph.runtime import OPTIONS, ProviderUnavailable, RuntimeModel
from export.proof.bundle_faults import BUNDLE_FAULTS, MODEL_FAULTS, STRICT_FAULTS, planted
from export.proof.config import ParityConfig
from export.proof.graph_faults import FAULTS, NotApplicable, transposed_input
from export.proof.isolated import run_apart
from export.proof.prove import Proof, open_both, prepare
from toolkit.data.blockset import Blocks
from toolkit.errors import ToolkitError
from toolkit.model.network import Classifier

BATCH = (64,)
_TF32_RUN = "TF32 where strict was asked: the logits"
P = ParamSpec("P")


class Fault(TypedDict):
    """A planted fault: caught, missed, not-applicable or not-run; the untouched bundle has passed or failed.

    `reason`: why the bundle was refused, or why the fault was not tried.
    """

    status: str
    reason: str


class SelftestResult(TypedDict):
    """Result of `selftest`. `faults`: by name, the untouched bundle among them as "nothing"."""

    passed: bool
    faults: dict[str, Fault]
    split: str
    blocks: int


def selftest(path: Path, data_path: Path, config: ParityConfig) -> SelftestResult:
    """Judge the bundle, and copies of it each with one fault, exactly as `prove` would on the CPU.

    Where the config asks for webgpu, it judges graphs there. Without an NVIDIA GPU the fault of TF32 logits is not run.
    Writes nothing into the bundle. Raises ToolkitError as `prove`
    does, and for an int8 bundle.
    """
    bundle, data = open_both(path, data_path, config)
    if bundle.int8:
        raise ToolkitError(f"{path} is int8: the self-test plants its faults in the float32 bundle it was made from.")
    proof = prepare(bundle.checkpoint(), data, config)
    provider = "webgpu" if "webgpu" in config.providers else "cpu"
    model = bundle.model_bytes()
    untouched = (
        _of_graph(bundle, model, proof, provider) or _of_profile(PROFILES["cuda-strict"]) or _of_copy(path, None)
    )
    faults: dict[str, Fault] = {"nothing": {"status": "failed" if untouched else "passed", "reason": untouched}}
    for name, plant in FAULTS.items():
        faults[name] = _tried(_of_planted_graph, bundle, model, plant, proof, provider)
    for name, change in MODEL_FAULTS.items():
        faults[name] = _tried(_of_planted_model, bundle, change, proof, provider)
    for name, damage in BUNDLE_FAULTS.items():
        faults[name] = _tried(_of_copy, path, damage)
    for name, profile in STRICT_FAULTS.items():
        faults[name] = _tried(_of_profile, profile)
    faults[_TF32_RUN] = _tried(_of_tf32, bundle, proof)
    passed = not untouched and all(f["status"] != "missed" for f in faults.values())
    return {"passed": passed, "faults": faults, "split": config.split, "blocks": len(proof.blocks)}


def _tried(gate: Callable[P, str], *what: P.args, **options: P.kwargs) -> Fault:
    """Try one fault: caught where the gate gives a reason to refuse."""
    try:
        reason = gate(*what, **options)
    except NotApplicable as error:
        return {"status": "not-applicable", "reason": str(error)}
    except ProviderUnavailable as error:
        return {"status": "not-run", "reason": error.message}
    return {"status": "caught" if reason else "missed", "reason": reason}


def _of_planted_graph(
    bundle: Bundle, model: bytes, plant: Callable[[onnx.ModelProto], None], proof: Proof, provider: str
) -> str:
    """Reason to refuse the graph with this fault planted in it; empty where it passes."""
    if plant is transposed_input and _indifferent(proof):
        raise NotApplicable("the model averages over transposition: it gives a turned block the same logits")
    proto = onnx.load_model_from_string(model)
    plant(proto)
    return _of_graph(bundle, proto.SerializeToString(), proof, provider)


def _indifferent(proof: Proof) -> bool:
    """Whether transposing the blocks changes no float64 logit by more than the budget."""
    turned = replace(proof.blocks, luma=proof.blocks.luma.swapaxes(2, 3))
    return bool(np.abs(reference_logits(proof.model, turned) - proof.reference).max() <= proof.budget.max)


def _of_planted_model(bundle: Bundle, change: Callable[[Classifier, Blocks], None], proof: Proof, provider: str) -> str:
    """Reason to refuse the graph exported from a PyTorch model with this fault; empty where it passes."""
    return _of_graph(bundle, export_onnx(planted(proof.model, proof.budget_blocks, change)), proof, provider)


def _of_graph(bundle: Bundle, model: bytes, proof: Proof, provider: str) -> str:
    """Reason to refuse this graph; empty where it passes, ProviderUnavailable where the provider cannot run it."""
    try:
        check_onnx(model, bundle.contract)
        session = RuntimeModel(model, bundle.contract, provider)
        found = run_batches(session.one_call, proof.blocks.inputs, BATCH)
    except ProviderUnavailable:
        raise
    except ToolkitError as error:
        return error.message
    return judge(found, proof.reference, proof.budget)["reason"]


def _of_copy(path: Path, damage: Callable[[Path], None] | None) -> str:
    """Reason why consumers refuse a copy of the bundle with this damage; empty where they accept it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(path, Path(folder) / "bundle"))
        if damage:
            damage(copy)
        try:
            bundle = Bundle.load(copy, with_report=damage is not None)
            check_onnx(bundle.model_bytes(), bundle.contract)
            bundle.session()
            bundle.checkpoint()
        except ToolkitError as error:
            return error.message.replace(folder, "")
    return ""


def _of_profile(profile: Profile) -> str:
    """Reason why `check_strict` refuses the profile before its run; empty where it accepts it."""
    switches = {k: v for k, v in (profile.environment or {}).items() if v is not None}
    try:
        check_strict(profile, {**OPTIONS[profile.provider], **profile.options}, switches)
    except ToolkitError as error:
        return error.message
    return ""


def _of_tf32(bundle: Bundle, proof: Proof) -> str:
    """Reason why logits computed in TF32 fail strict float32's budget; raises ProviderUnavailable without a GPU."""
    found = run_apart(bundle.path, proof.blocks, PROFILES["cuda-tf32"], BATCH)
    return judge(found.logits, proof.reference, proof.budget)["reason"]
