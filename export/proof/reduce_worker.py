"""`python -m export.proof.reduce_worker FOLDER`: reduce a failure in this process, started with a profile's switches.

Reads FOLDER/job.json, whole.onnx, feed.npz and exact.npz, writes the part's files and then answer.json. Imports no
torch, as `export.proof.worker`.
"""

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from export.graph.plug_ins import register
from export.graph.process import run_module
from export.graph.profiles import Profile
from export.proof.reduce import Part, Values, Way, search, write_part
from toolkit.processes import obey_parent


def search_apart(model: bytes, feed: Values, exact: Values, allowed: dict[str, float], profile: Profile) -> Part | None:
    """Result of `search` in a process of its own with the profile's switches; ToolkitError where it gives none."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "whole.onnx").write_bytes(model)
        for file, values in (("feed.npz", feed), ("exact.npz", exact)):
            arrays: dict[str, Any] = dict(values)
            np.savez(folder / file, **arrays)
        (folder / "job.json").write_text(json.dumps({"profile": asdict(profile), "allowed": allowed}))
        found = run_module("export.proof.reduce_worker", folder, profile.environment or {})
        if found is None:
            return None
        case = _arrays(folder / "case.npz")
        expected = case.pop("expected")
        return Part((folder / "model.onnx").read_bytes(), case, expected=expected, **found)


def work(folder: Path) -> dict[str, Any] | None:
    """Run the job and return what its files do not hold of the part; None where there is no part."""
    job = json.loads((folder / "job.json").read_text())
    profile = Profile(**job["profile"])
    register(profile.provider, profile.library)
    exact, feed = _arrays(folder / "exact.npz"), _arrays(folder / "feed.npz")
    way = Way(profile.provider, profile.options, library=profile.library)
    part = search((folder / "whole.onnx").read_bytes(), feed, exact, job["allowed"], way)
    if part is None:
        return None
    write_part(folder, part)
    return {"output": part.output, "error": part.error, "allowed": part.allowed, "nodes": part.nodes}


def _arrays(file: Path) -> Values:
    with np.load(file, allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


if __name__ == "__main__":
    obey_parent()
    target = Path(sys.argv[1])
    (target / "answer.json").write_text(json.dumps(work(target)))
