"""A proof that can be repeated without PyTorch: its blocks with float64 logits, and what repeats of it found."""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from export.graph.contract import Contract
from export.graph.profiles import is_profile
from toolkit.data.blockset import Blocks
from toolkit.errors import ToolkitError, first_line
from toolkit.files import atomic_write_bytes, read_bytes
from toolkit.sealed import SealedFolder
from toolkit.shapes import Sha256

PROOF, REPLAY = "proof.npz", "replay.json"
MOST_BYTES = 1 << 24
"""Luma of the blocks that are kept: of more, fewer are, evenly spread."""
_ARRAYS = ("luma", "qindex", "partition", "target", "source", "frame", "row", "column")
_LIMIT = 1 << 26
_AGAIN = "Run `av1part parity BUNDLE DATA` again."


@dataclass(frozen=True)
class Kept:
    """Held-out blocks of a proof and their logits (N, classes) by the PyTorch model in float64."""

    blocks: Blocks
    reference: NDArray[np.float64]


class Replays(TypedDict):
    """replay.json: results by profile, with the entries of parity.json that a repeat has too."""

    kind: str
    format_version: int
    manifest_sha256: Sha256
    proof_npz_sha256: Sha256
    profiles: dict[str, dict[str, Any]]
    sha256: str


_MEND = "Remove it, and run `av1part parity BUNDLE --replay` again."
FORMAT = SealedFolder("av1part-replay", 1, Replays, "of a repeated proof", _MEND, REPLAY, 1 << 22)


def keep(blocks: Blocks, reference: NDArray[np.float64]) -> bytes:
    """Content of proof.npz: the blocks, or as many of them as MOST_BYTES allows, and their logits."""
    most = max(1, MOST_BYTES // (blocks.luma.nbytes // len(blocks)))
    rows = np.unique(np.linspace(0, len(blocks) - 1, min(most, len(blocks))).astype(np.int64))
    kept = replace(blocks[rows], costs=None)
    arrays = {name: getattr(kept, name) for name in _ARRAYS} | {"reference": reference[rows]}
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def read_kept(bundle: Path, sha256: str, contract: Contract) -> Kept:
    """Read proof.npz; ToolkitError where it is not the one of that hash, or does not fit the contract."""
    file = bundle / PROOF
    data = read_bytes(file, _LIMIT)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ToolkitError(f"{file}: changed since parity.json was written. {_AGAIN}")
    names = (*_ARRAYS, "reference")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > 4 * MOST_BYTES:
                raise ValueError("larger than what is kept of a proof")
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            if set(found.files) != set(names):
                raise ValueError(f"holds {sorted(found.files)}, expected {sorted(names)}")
            arrays = {name: found[name] for name in names}
        reference = arrays.pop("reference")
        blocks = Blocks(**arrays, bit_depth=contract.bit_depth, node=contract.window.node)
        if blocks.window != contract.window or reference.shape != (len(blocks), len(contract.classes)):
            raise ValueError(f"windows {blocks.window}, logits {reference.shape}")
        if reference.dtype != np.float64 or not len(blocks):
            raise ValueError(f"{len(blocks)} blocks, logits of {reference.dtype}")
    except ToolkitError:
        raise
    except Exception as error:  # what NumPy and zipfile raise on a file that neither wrote has no common base
        raise ToolkitError(f"{file}: not the blocks of a proof ({first_line(error)}). {_AGAIN}") from None
    return Kept(blocks, reference)


def load_replays(bundle: Path, manifest_sha256: str, proof_sha256: str | None) -> Replays | None:
    """Read replay.json; None where there is none.

    Raises ToolkitError where it was edited, is malformed, or repeats another proof.
    """
    file = bundle / REPLAY
    if not file.exists():
        return None
    found = FORMAT.read(bundle)
    if (found["manifest_sha256"], found["proof_npz_sha256"]) != (manifest_sha256, proof_sha256):
        raise ToolkitError(f"{file}: repeats the proof of another bundle, or an earlier one. {_MEND}")
    for name, result in found["profiles"].items():
        sound = is_profile(name) and result.get("status") in ("passed", "failed")
        if not sound or type(result.get("comparisons")) is not int or not isinstance(result.get("versions"), dict):
            raise ToolkitError(f"{file}: the result of {name!r:.20} is malformed. {_MEND}")
    return found


def write_replays(
    bundle: Path, earlier: Replays | None, manifest_sha256: str, proof_sha256: str, results: Mapping[str, Any]
) -> None:
    """Write replay.json: these results, and earlier ones of profiles that did not run now."""
    ran = {name: result for name, result in results.items() if result["status"] != "not-run"}
    if not ran:
        return
    body = {
        "manifest_sha256": manifest_sha256,
        "proof_npz_sha256": proof_sha256,
        "profiles": {**(earlier["profiles"] if earlier else {}), **ran},
    }
    FORMAT.write(body, bundle)


def put_kept(bundle: Path, content: bytes) -> str:
    """Write proof.npz and return its hash; what repeated an earlier proof goes, since a new one is nearer the truth."""
    (bundle / REPLAY).unlink(missing_ok=True)
    atomic_write_bytes(bundle / PROOF, content)
    return hashlib.sha256(content).hexdigest()
