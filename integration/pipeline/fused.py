"""Running the fused graph: a cascade that answers every stage's question from one session and one call a batch."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.bundle.bundle import Bundle
from export.graph.contract import Contract
from export.graph.runtime import MAX_BATCH, check_signature, open_session, running
from integration.pipeline.flatness import deviation
from integration.pipeline.fuse import fuse, metadata, outputs
from integration.pipeline.joint_probabilities import IDS, conditional, join
from integration.pipeline.policy import Ask, Policy
from integration.pipeline.stages import Cascade
from toolkit.data.blockset import Luma, check_input
from toolkit.errors import ToolkitError
from toolkit.windows import Window

FUSED = "fused.onnx"
LIMIT = 1 << 31
"""Bytes that a protobuf, and so a fused graph, may have."""


class FusedModel:
    """The fused graph of these bundles in an ONNX Runtime session on exactly one execution provider."""

    def __init__(self, model: bytes, bundles: Mapping[str, Bundle], provider: str, threads: int | None = None) -> None:
        """Raises ToolkitError for a graph that is not these bundles' cascade, and as RuntimeModel does."""
        self.contract: Contract = max((b.contract for b in bundles.values()), key=lambda contract: contract.window.size)
        self._session, self.placement = open_session(model, provider, threads)
        check_signature(self._session, self.contract.inputs(), outputs(), metadata(bundles))

    def probabilities(self, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float32]:
        """AV1 partition ids' probabilities (N, 10) of windows (N, 1, S, S) at qindex (N,); errors as `logits`."""
        check_input(luma, qindex, self.contract.bit_depth, self.contract.window)
        result = np.empty((len(luma), IDS), np.float32)
        for start in range(0, len(luma), MAX_BATCH):
            part = slice(start, start + MAX_BATCH)
            feed = {"luma": luma[part].astype(np.float32), "qindex": qindex[part, None].astype(np.float32)}
            with running():
                (result[part],) = self._session.run(None, feed)
        return result


@dataclass(frozen=True)
class _Part:
    """One stage of the fused graph, asked alone: its logits up to a constant."""

    fused: FusedModel
    stage: str

    @property
    def window(self) -> Window:
        return self.fused.contract.window

    def logits(self, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float32]:
        p = conditional(self.fused.probabilities(luma, qindex), self.stage)
        result: NDArray[np.float32] = np.log(np.maximum(p, np.finfo(np.float32).tiny)).astype(np.float32)
        return result


@dataclass(frozen=True)
class FusedCascade(Cascade):
    """A cascade whose stages are one graph, all of them run at once."""

    fused: FusedModel

    @classmethod
    def of(cls, fused: FusedModel, stages: Collection[str]) -> "FusedCascade":
        return cls({stage: _Part(fused, stage) for stage in stages}, fused)

    def every(self, luma: Luma, qindex: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        joint = self._joint(luma, qindex)
        return {stage: conditional(joint, stage) for stage in self.stages}

    def _joint(self, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float32]:
        joint = self.fused.probabilities(luma, qindex)
        if not np.isfinite(joint).all():
            raise ToolkitError("The fused graph gave probabilities that are no finite numbers. Build it again.")
        return joint

    def asker(self, luma: Luma, qindex: NDArray[np.uint8]) -> Ask:
        """As a cascade's; the graph runs once on a block, when a first stage asks about it, and answers for all."""
        joint, known = np.empty((len(luma), IDS), np.float32), np.zeros(len(luma), bool)

        def ask(stage: str, index: NDArray[np.int64]) -> NDArray[np.float64] | None:
            if stage not in self.models:
                return None
            new = index[~known[index]]
            if len(new):
                joint[new], known[new] = self._joint(luma[new], qindex[new]), True
            return conditional(joint[index], stage)

        return ask


def write_fused(folder: Path, bundles: Mapping[str, Bundle], policy: Policy, provider: str) -> dict[str, Any]:
    """Fuse a pipeline's bundles, compare with running them apart, write the file; returns its manifest entry.

    Compared on the calibration blocks of every bundle's checkpoint: probabilities within what the bundles' own parity
    budgets allow, and masks, which have to be equal. Raises ToolkitError, before anything is written, where not.
    """
    data = fuse(bundles)
    fused = FusedCascade.of(FusedModel(data, bundles, provider), bundles)
    apart = Cascade({stage: bundle.session(provider) for stage, bundle in bundles.items()})
    carried = [bundle.checkpoint().calibration for bundle in bundles.values()]
    # What a stage of less context carries is widened by repeating its outermost pixels, as at a frame's edge.
    margins = [(fused.window.context - blocks.window.context) for blocks in carried]
    widened = [np.pad(b.luma, ((0, 0), (0, 0), (m, m), (m, m)), "edge") for b, m in zip(carried, margins, strict=True)]
    luma = np.concatenate(widened)
    qindex = np.concatenate([blocks.qindex for blocks in carried])
    error = float(np.abs(fused.fused.probabilities(luma, qindex) - join(apart.every(luma, qindex))).max(initial=0.0))
    # Both may lie a stage's budget off; a softmax passes on at most half of that, twice over. Then float32's rounding.
    budget = sum(float(b.manifest["export_check"]["max_budget"]) for b in bundles.values()) + 1e-6
    flatness = deviation(luma, fused.fused.contract.bit_depth, fused.window)
    masks = [policy.masks(qindex, flatness, c.asker(luma, qindex)) for c in (fused, apart)]
    differ = int((masks[0] != masks[1]).sum())
    if not len(luma) or error > budget or differ:
        raise ToolkitError(
            f"The fused graph is not the cascade: probabilities differ by up to {error:.3g} (allowed {budget:.3g}), "
            f"masks on {differ} of {len(luma)} calibration blocks. Nothing was written. Where only a mask differs, a "
            "threshold lies within rounding of a probability: move it a little, or build without --fuse."
        )
    (folder / FUSED).write_bytes(data)
    check = {"blocks": len(luma), "max_error": error, "budget": budget, "masks_differ": differ}
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "check": check}


def read_fused(path: Path, manifest: Mapping[str, Any]) -> bytes | None:
    """The bytes of a pipeline's fused graph, verified, None where it has none; ToolkitError where they are others."""
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
