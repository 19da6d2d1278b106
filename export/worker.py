"""`python -m export.worker FOLDER`: one sweep in a process of its own, for providers with process-wide switches.

Reads FOLDER/job.json and inputs.npz, writes outputs.npz and then answer.json. Imports no torch, so that no other
CUDA runtime is in the process.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from export.bundle import Bundle
from export.runtime import ProviderUnavailable
from export.sweep import sweep
from toolkit.errors import ToolkitError


def work(folder: Path) -> dict[str, object]:
    """Run the job; errors that a user can mend are part of the answer."""
    job = json.loads((folder / "job.json").read_text())
    try:
        session = Bundle.load(job["bundle"], with_report=False).session(job["provider"])
    except ProviderUnavailable as error:
        return {"unavailable": error.message}
    except ToolkitError as error:
        return {"error": error.message}
    with np.load(folder / "inputs.npz", allow_pickle=False) as inputs:
        found = sweep(session, inputs["luma"], inputs["qindex"], job["batches"])
    outputs: dict[str, Any] = {f"batch_{batch}": logits for batch, logits in found.items()}
    np.savez(folder / "outputs.npz", **outputs)
    return {"placement": session.placement}


if __name__ == "__main__":
    target = Path(sys.argv[1])
    (target / "answer.json").write_text(json.dumps(work(target)))
