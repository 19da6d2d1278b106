"""Files that show a proof's failure in plain ONNX Runtime: the smallest part that fails, for a bug report."""

from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from export.bundle.report import ProfileResult
from export.compare.verdict import MAX_FACTOR
from export.graph.deployment import DEPLOYMENTS
from export.graph.export import export_program
from export.graph.profiles import Profile
from export.graph.runtime import LEVELS, OPTIONS, PROVIDERS, feed
from export.proof.program import Values, evaluate
from export.proof.reduce import Part, Way, search, write_part
from export.proof.reduce_worker import search_apart
from toolkit.data.blockset import Blocks
from toolkit.errors import ToolkitError
from toolkit.files import atomic_folder, atomic_write_json, quoted
from toolkit.model.network import Classifier

MOST_BLOCKS = 16
"""Most blocks that a failure is shown on; nearly always it is one."""
KIND = "av1part-failure"


class Reproducer(TypedDict):
    """Where a failure was written, and how small it is; `folder` is empty where no small part of the graph fails."""

    folder: str
    message: str


def reproduce(
    bundle: Path, model: bytes, classifier: Classifier, blocks: Blocks, profile: Profile, result: ProfileResult
) -> Reproducer:
    """Cut the failure of a float32 profile down, and write it to a folder beside the bundle.

    `blocks`: the worst ones first. The folder, named after bundle and profile, holds model.onnx, case.npz, reproduce.py
    and a manifest. An earlier one is replaced.
    """
    way = way_of(profile, result)
    part, count = _smallest(model, classifier, blocks[:MOST_BLOCKS], profile, way)
    if part is None:
        return {
            "folder": "",
            "message": f"no part of the graph fails alone on the {len(blocks[:MOST_BLOCKS])} worst blocks",
        }
    of = len(onnx.load_model_from_string(model).graph.node)
    folder = bundle.resolve().with_name(f"{bundle.resolve().name}-failure-{profile.name}")
    with atomic_folder(folder, overwrite=True) as new:
        write_part(new, part)
        (new / "reproduce.py").write_text(script(way, part.allowed))
        about = {"profile": profile.name, "output": part.output, "allowed": part.allowed, "nodes": part.nodes, "of": of}
        about["error"] = part.error if np.isfinite(part.error) else str(part.error)
        atomic_write_json(new / "manifest.json", {"kind": KIND, "blocks": count, **about})
    message = (
        f"{part.nodes} of {of} nodes and {count} block{'s' * (count > 1)} still fail, output {part.output!r}: largest "
        f"error {part.error:.3g}, allowed {part.allowed:.3g}. In plain ONNX Runtime: cd {quoted(folder)} && python "
        "reproduce.py"
    )
    return {"folder": str(folder), "message": message}


def way_of(profile: Profile, result: ProfileResult) -> Way:
    """How to run a graph as the profile does; in the first deployment that failed, where nothing else did."""
    failed = [name for name, found in result.get("deployments", {}).items() if found["reason"]]
    usual = any(batch["reasons"] for batch in result.get("batches", {}).values())
    deployed = None if usual else next((d for d in DEPLOYMENTS if d.name in failed), None)
    return Way(profile.provider, profile.options, deployed, profile.library)


def script(way: Way, allowed: float) -> str:
    """Three lines of Python that run the files of a part and print its error, after those that set up ONNX Runtime."""
    name = PROVIDERS.get(way.provider, way.provider)
    given = {**OPTIONS.get(way.provider, {}), **way.options}
    lines, second, last = ["import numpy, onnxruntime as ort"], "", f', providers=[("{name}", {given!r})]'
    if way.deployed or way.library:
        lines.append("options = ort.SessionOptions()")
        second = ", options"
    if way.library:
        lines.append(f"ort.register_execution_provider_library({name!r}, {way.library!r})")
        lines.append(f"devices = [found for found in ort.get_ep_devices() if found.ep_name == {name!r}]")
        lines.append(f"options.add_provider_for_devices(devices[:1], {given!r})")
        last = ""
    if way.deployed:
        level = f"ort.GraphOptimizationLevel.ORT_{LEVELS[way.deployed.level]}"
        settings = {
            "graph_optimization_level": level,
            "intra_op_num_threads": way.deployed.threads,
            "enable_mem_pattern": way.deployed.memory_pattern,
        }
        lines += [f"options.{key} = {value}" for key, value in settings.items()]
    lines += [
        'case = dict(numpy.load("case.npz")); expected = case.pop("expected")',
        f'session = ort.InferenceSession("model.onnx"{second}{last})',
        f'print("largest error", abs(session.run(None, case)[0] - expected).max(), "allowed", {allowed!r})',
    ]
    return "\n".join(lines) + "\n"


def _smallest(
    model: bytes, classifier: Classifier, blocks: Blocks, profile: Profile, way: Way
) -> tuple[Part | None, int]:
    """The smallest part, on as few of the blocks as fail, and their number."""
    program = export_program(classifier).exported_program
    if program is None:
        raise ToolkitError("torch.onnx.export kept no program of the PyTorch model.")
    whole = feed(*blocks.inputs)
    allowed = _allowed(*(evaluate(program, _tensors(whole, dtype), dtype) for dtype in (torch.float64, torch.float32)))
    count = 1
    while True:
        few = {name: values[:count] for name, values in whole.items()}
        exact = evaluate(program, _tensors(few, torch.float64), torch.float64)
        if profile.environment is None or way.deployed:
            part = search(model, few, exact, allowed, way)
        else:
            part = search_apart(model, few, exact, allowed, profile)
        if part is not None or count >= len(blocks):
            return part, count
        count = min(2 * count, len(blocks))


def _allowed(exact: Values, single: Values) -> dict[str, float]:
    """Largest error allowed of each floating value: 8 times PyTorch float32's own."""
    ulp, tiny = float(np.finfo(np.float32).eps), float(np.finfo(np.float32).tiny)
    found = {}
    for name, values in exact.items():
        if values.dtype == np.float64 and values.size and np.isfinite(values).all():
            own = float(np.abs(single[name] - values).max())
            found[name] = MAX_FACTOR * max(own, ulp * float(np.abs(values).max()) + tiny)
    return found


def _tensors(values: dict[str, NDArray[Any]], dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(value).to(dtype) for value in values.values())
