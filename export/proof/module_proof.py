"""Proof of any ONNX file against a torch module or exported program, on inputs from a file."""

from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
import onnx
import torch

from export.bundle.write import versions
from export.compare.batches import Difference, Outputs
from export.compare.budget import budget_of
from export.compare.verdict import Verdict, judge, with_repeats
from export.graph.any_graph import Arrays, Signature, as_rows
from export.graph.profiles import profile_of
from export.graph.runtime import ProviderUnavailable
from export.proof.config import ParityConfig
from export.proof.foreign import files_of
from export.proof.isolated import run_graph
from export.proof.module import load_reference, run_reference
from toolkit.errors import ToolkitError, first_line
from toolkit.files import seal, sha256_file

KIND = "av1part-parity-module"
FORMAT_VERSION = 2


class OutputVerdict(Verdict):
    """Verdict on one output, with what its repeats gave, by session."""

    repeatability: dict[str, Difference]


class ModuleReport(TypedDict):
    """Sealed result of `prove_module`. `outputs`: a verdict by output name, none where it was not run.

    `model`: sha256 of the graph's files, by name; `inputs_sha256`: of the file of inputs; `rows`: their number.
    """

    kind: str
    format_version: int
    passed: bool
    status: str
    reason: str
    profile: str
    outputs: dict[str, OutputVerdict]
    decisions: list[str]
    rows: int
    placement: dict[str, int]
    gpu: dict[str, str]
    model: dict[str, str]
    reference: str
    inputs_sha256: str
    versions: dict[str, str]
    sha256: str


def prove_module(
    path: Path, spec: str, inputs: Path, config: ParityConfig, decisions: tuple[str, ...] = ()
) -> ModuleReport:
    """Compare an ONNX file with the reference that `module:function` gives, on the inputs of an .npz file.

    `decisions`: outputs of shape (N, classes), whose largest value is a decision. Of the config count `batches`, the
    first of `providers` (none: cpu) and what belongs to it. Budget, batches, placement and repeats as of `prove`: the
    budget of each output is PyTorch's own error in float32 against float64, on the same rows. Writes nothing. Raises
    ToolkitError where names or shapes do not fit each other.
    """
    files = files_of(path)
    model: bytes = onnx.load(path).SerializeToString()
    signature = Signature.of(model)
    arrays = _read(inputs)
    rows = signature.check(arrays)
    if wrong := sorted(set(decisions) - set(signature.outputs)):
        raise ToolkitError(f"Decisions of {', '.join(wrong)}: the graph's outputs are {', '.join(signature.outputs)}.")
    reference = load_reference(spec)
    exact, single = (run_reference(reference, arrays, signature, dtype) for dtype in (torch.float64, torch.float32))
    signature.check_outputs(exact)
    for name in decisions:
        if exact[name].ndim != 2 or exact[name].shape[1] < 2:
            raise ToolkitError(f"Decisions of {name}: shape {exact[name].shape}, expected (rows, 2 classes or more).")
    profile = config.profile(profile_of((*config.providers, "cpu")[0], int8=False))
    about = {
        "kind": KIND,
        "format_version": FORMAT_VERSION,
        "profile": profile.name,
        "decisions": list(decisions),
        "rows": rows,
        "model": files,
        "reference": spec,
        "inputs_sha256": sha256_file(inputs),
        "versions": versions(),
    }
    try:
        batched = [arrays[name] for name in signature.batched]
        whole = {name: array for name, array in arrays.items() if name not in signature.batched}
        given = batched or [np.zeros(1)]  # a graph without rows is run as one row
        found = run_graph(model, given, whole, profile, config.batches if batched else (1,))
    except ProviderUnavailable as error:
        result = _without("not-run", error.message)
    else:
        result = _judge(found, exact, single, rows=rows if batched else None, decisions=decisions)
    return cast(ModuleReport, seal({**about, "passed": result["status"] == "passed", **result}))


def _judge(
    found: Outputs, exact: Arrays, single: Arrays, *, rows: int | None, decisions: tuple[str, ...]
) -> dict[str, Any]:
    """Verdicts by output, its repeats within its own budget, and one on all. `rows`: None for a graph without rows."""
    doubles = {name: as_rows(name, values, rows) for name, values in exact.items()}
    width = sum(values.shape[1] for values in doubles.values())
    wrong = next((r.shape[1] for r in found.logits.values() if r.shape[1] != width), width)
    if wrong != width:
        raise ToolkitError(
            f"The graph gives {wrong} numbers a row, the reference {width}: their outputs differ in shape."
        )
    outputs: dict[str, OutputVerdict] = {}
    start = 0
    for name, double in doubles.items():
        budget = budget_of(as_rows(name, single[name], rows).astype(np.float32), double)
        columns = slice(start, start + double.shape[1])
        part = {batch: result[:, columns] for batch, result in found.logits.items()}
        verdict = judge(part, double, budget, decisions=name in decisions)
        outputs[name] = cast(OutputVerdict, with_repeats({**verdict}, found.repeats(columns), budget.max))
        start = columns.stop
    reasons = [f"output {name}, {verdict['reason']}" for name, verdict in outputs.items() if verdict["reason"]]
    beside = {"placement": found.placement, "gpu": found.device}
    status = "failed" if reasons else "passed"
    return {"status": status, "reason": "; ".join(reasons), "outputs": outputs, **beside}


def _without(status: str, reason: str) -> dict[str, Any]:
    return {"status": status, "reason": reason, "outputs": {}, "placement": {}, "gpu": {}}


def _read(file: Path) -> Arrays:
    """Arrays of an .npz file by name; ToolkitError where it is none."""
    try:
        with np.load(file, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except FileNotFoundError:
        raise ToolkitError(f"{file}: no such file. Expected the inputs, as numpy.savez writes them.") from None
    except Exception as error:  # what NumPy and zipfile raise on a file that neither wrote has no common base
        raise ToolkitError(f"{file}: no .npz file of arrays ({first_line(error, 200)}).") from None
