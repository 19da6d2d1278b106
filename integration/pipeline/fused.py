"""The fused graph at work: a cascade whose stages are all answered by one session in one call a batch."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from export.bundle.bundle import Bundle
from export.graph.contract import Contract
from export.graph.runtime import MAX_BATCH, check_signature, open_session, run_session
from integration.pipeline.fuse import check_fused, fuse, metadata, outputs
from integration.pipeline.policy import Ask, Policy, deviation
from integration.pipeline.stages import IDS, Cascade, Stages, conditional, joint_probabilities
from toolkit.data.blockset import Luma, check_input
from toolkit.errors import ToolkitError
from toolkit.windows import Window

FUSED = "fused.onnx"
LIMIT = 1 << 31
"""Largest size of a protobuf, and so of a fused graph, in bytes."""


class FusedCheck(TypedDict):
    """Comparison of the fused graph with its stages run apart, on blocks that the bundles carry.

    `max_error` and `budget` are of probabilities; `masks_differ` counts blocks.
    """

    blocks: int
    max_error: float
    budget: float
    masks_differ: int


class FusedEntry(TypedDict):
    """Entry of a fused graph in the pipeline's manifest."""

    bytes: int
    sha256: str
    check: FusedCheck


class FusedModel:
    """The fused graph of these bundles in an ONNX Runtime session on exactly one execution provider.

    Raises ToolkitError for a graph that is not these bundles' cascade, and as RuntimeModel does.
    """

    def __init__(self, model: bytes, bundles: Mapping[str, Bundle], provider: str, threads: int | None = None) -> None:
        self.contract: Contract = max((b.contract for b in bundles.values()), key=lambda contract: contract.window.size)
        for bundle in bundles.values():
            bundle.check_cpu(provider)
        check_fused(model)
        self._session, self.placement = open_session(model, provider, threads)
        check_signature(self._session, self.contract.inputs(), outputs(), metadata(bundles))

    def probabilities(self, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (N, 10) of the AV1 ids for windows (N, 1, S, S) at qindex (N,); errors as RuntimeModel."""
        check_input(luma, qindex, self.contract.bit_depth, self.contract.window)
        result = np.empty((len(luma), IDS), np.float32)
        for start in range(0, len(luma), MAX_BATCH):
            part = slice(start, start + MAX_BATCH)
            (result[part],) = run_session(self._session, None, luma[part], qindex[part])
        return result


@dataclass(frozen=True)
class FusedCascade(Stages):
    """Stages that are one graph together and always run all at once."""

    fused: FusedModel
    keys: Collection[str]

    @property
    def windows(self) -> dict[str, Window]:
        return dict.fromkeys(self.keys, self.fused.contract.window)

    def every(self, luma: Luma, qindex: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        joint = self._joint(luma, qindex)
        return {stage: conditional(joint, stage, self.window.node) for stage in self.stages}

    def _joint(self, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float32]:
        joint = self.fused.probabilities(luma, qindex)
        if not np.isfinite(joint).all():
            raise ToolkitError("The fused graph gave probabilities that are no finite numbers. Build it again.")
        return joint

    def asker(self, luma: Luma, qindex: NDArray[np.uint8]) -> Ask:
        """As for any stages; the graph runs on a block once, when any stage is first asked about it."""
        joint, known = np.empty((len(luma), IDS), np.float32), np.zeros(len(luma), bool)

        def ask(stage: str, index: NDArray[np.int64]) -> NDArray[np.float64] | None:
            if stage not in self.keys:
                return None
            new = index[~known[index]]
            if len(new):
                joint[new], known[new] = self._joint(luma[new], qindex[new]), True
            return conditional(joint[index], stage, self.window.node)

        return ask


def write_fused(folder: Path, bundles: Mapping[str, Bundle], policy: Policy, provider: str) -> FusedEntry:
    """Fuse a pipeline's bundles, compare the graph with running them apart, write it; return its manifest entry.

    Both run on the calibration blocks of every bundle's checkpoint. Probabilities may differ by as much as the bundles'
    own parity budgets allow, masks not at all. Raises ToolkitError, before anything is written, where they differ more.
    """
    data = fuse(bundles)
    fused = FusedCascade(FusedModel(data, bundles, provider), tuple(bundles))
    apart = Cascade({stage: bundle.session(provider) for stage, bundle in bundles.items()})
    carried = [bundle.checkpoint().calibration for bundle in bundles.values()]
    # Blocks of a stage with less context are widened by repeating their outermost pixels, as at a frame's edge.
    margins = [(fused.window.context - blocks.window.context) for blocks in carried]
    widened = [np.pad(b.luma, ((0, 0), (0, 0), (m, m), (m, m)), "edge") for b, m in zip(carried, margins, strict=True)]
    luma = np.concatenate(widened)
    qindex = np.concatenate([blocks.qindex for blocks in carried])
    expected = joint_probabilities(apart.every(luma, qindex), fused.window.node)
    error = float(np.abs(fused.fused.probabilities(luma, qindex) - expected).max(initial=0.0))
    # Each side may be off by a stage's budget in its logits, of which a softmax passes on at most half: together once
    # the budget. The rest is rounding to float32.
    budget = sum(float(b.manifest["export_check"]["max_budget"]) for b in bundles.values()) + 1e-6
    flatness = deviation(luma, fused.fused.contract.bit_depth, fused.window)
    masks = [policy.masks(qindex, flatness, c.asker(luma, qindex), fused.window.node) for c in (fused, apart)]
    differ = int((masks[0] != masks[1]).sum())
    if not len(luma) or error > budget or differ:
        raise ToolkitError(
            f"The fused graph is not the cascade: probabilities differ by up to {error:.3g} (allowed {budget:.3g}), "
            f"masks on {differ} of {len(luma)} calibration blocks. Nothing was written. Where only a mask differs, a "
            "threshold lies within rounding of a probability: move it a little, or build without --fuse."
        )
    (folder / FUSED).write_bytes(data)
    check = FusedCheck(blocks=len(luma), max_error=error, budget=budget, masks_differ=differ)
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "check": check}


def read_fused(path: Path, manifest: Mapping[str, Any]) -> bytes | None:
    """Verified bytes of a pipeline's fused graph, None where it has none; ToolkitError where they were changed."""
    file = path / FUSED
    if "fused" not in manifest:
        if file.exists():
            raise ToolkitError(f"{file} is not in the manifest. Build the pipeline again with --fuse, or remove it.")
        return None
    entry = manifest["fused"]
    size, digest = (entry.get("bytes"), entry.get("sha256")) if isinstance(entry, dict) else (None, None)
    if type(size) is not int or not 0 < size < LIMIT or not isinstance(digest, str):
        raise ToolkitError(f"{path}/manifest.json: fused is {entry!r:.80}. Build the pipeline again.")
    if file.is_symlink() or not file.is_file() or file.stat().st_size != size:
        raise ToolkitError(f"{file}: missing, a link, or not of {size} bytes. Build the pipeline again.")
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise ToolkitError(f"{file}: changed (sha256 differs from the manifest). Build the pipeline again.")
    return data
