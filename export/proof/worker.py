"""`python -m export.proof.worker FOLDER`: run one profile in this process, started with the profile's switches.

Reads FOLDER/job.json and inputs.npz, writes outputs.npz and then answer.json. Imports no torch, so that no other
CUDA runtime is in the process.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from export.bundle.bundle import Bundle
from export.compare.batches import Opened, run_all
from export.graph.any_graph import AnyGraph
from export.graph.float16 import as_float16
from export.graph.plug_ins import register
from export.graph.profiles import Profile, check_strict
from export.graph.runtime import ProviderUnavailable, RuntimeModel
from toolkit.errors import ToolkitError
from toolkit.processes import obey_parent


def work(folder: Path) -> dict[str, object]:
    """Run the job and return the answer, which also carries errors that a user can mend."""
    job = json.loads((folder / "job.json").read_text())
    profile = Profile(**job["profile"])
    try:
        register(profile.provider, profile.library)
    except ToolkitError as error:
        return {"unavailable": error.message}
    try:
        open_session = _opener(folder, job["bundle"], profile)
        with np.load(folder / "inputs.npz", allow_pickle=False) as inputs:
            found = run_all(open_session, tuple(inputs[name] for name in inputs.files), job["batches"])
    except ProviderUnavailable as error:
        return {"unavailable": error.message}
    except ToolkitError as error:
        return {"error": error.message}
    outputs: dict[str, Any] = {f"batch_{batch}": logits for batch, logits in found.logits.items()}
    outputs |= {f"call_{name}": logits for name, logits in found.calls.items()}
    np.savez(folder / "outputs.npz", **outputs)
    return {"placement": found.placement, "calls": list(found.calls), "device": found.device}


def _opener(folder: Path, path: str | None, profile: Profile) -> Callable[[], Opened]:
    """How to open a session of the bundle at that path, or of the graph in the folder."""
    if path is None:
        model, bundle = (folder / "graph.onnx").read_bytes(), None
    else:
        bundle = Bundle.load(path, with_report=False)
        model = bundle.model_bytes()
    if profile.precision == "float16":
        model = as_float16(model)
    with np.load(folder / "whole.npz", allow_pickle=False) as arrays:
        whole = {name: arrays[name] for name in arrays.files}

    def open_session() -> Opened:
        session: RuntimeModel | AnyGraph
        if bundle is None:
            session = AnyGraph(model, profile.provider, whole, profile.options)
        else:
            session = RuntimeModel(model, bundle.contract, profile.provider, options=profile.options)
        check_strict(profile, session.provider_options, os.environ)
        return session

    return open_session


if __name__ == "__main__":
    obey_parent()
    target = Path(sys.argv[1])
    (target / "answer.json").write_text(json.dumps(work(target)))
