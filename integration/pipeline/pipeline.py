"""Stage 008: proven bundles chained into one thing that says, for a frame and a qindex, what to search where."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.bundle.bundle import Bundle
from integration.pipeline.flatness import deviation
from integration.pipeline.fused import FusedCascade, FusedModel, read_fused
from integration.pipeline.policy import Policy
from integration.pipeline.stages import Cascade, check_stages
from toolkit.data.blockset import Luma, check_luma
from toolkit.data.encoder_settings import settings_differ
from toolkit.errors import ToolkitError
from toolkit.files import canonical_json
from toolkit.sealed import Entries, read_sealed
from toolkit.windows import Window, cut_windows

KIND = "av1part-pipeline"
FORMAT_VERSION = 1
_MEND = "Build the pipeline again with `av1part pipeline build`."
_ENTRIES: Entries = {
    "bundles": dict,
    "bit_depth": int,
    "encoder": dict,
    "policy": dict,
    "provider": str,
    "unproven": list,
}
_log = logging.getLogger("av1part")


@dataclass(frozen=True)
class Pipeline:
    """A pipeline folder, ready to run; open it with `Pipeline.load`."""

    path: Path
    manifest: dict[str, Any]
    bundles: dict[str, Bundle]
    cascade: Cascade
    policy: Policy

    @classmethod
    def load(
        cls, path: Path | str, provider: str | None = None, threads: int | None = None, *, allow_unproven: bool = False
    ) -> "Pipeline":
        """Open a pipeline and verify every byte of it; `provider` is the one it was built for unless given.

        Raises ToolkitError on a changed or missing file, on bundles that do not fit together, and on one that is not
        proven on that provider; with `allow_unproven`, here or when it was built, a warning is logged instead.
        A fused graph is used where there is one, on the provider that it was built for.
        """
        path = Path(path)
        manifest = read_manifest(path)
        provider = provider or manifest["provider"]
        bundles = {}
        for stage, digest in manifest["bundles"].items():
            bundle = Bundle.load(path / "bundles" / stage)
            if bundle.sha256 != digest or bundle.stage != stage:
                raise ToolkitError(f"{bundle.path} is not the bundle that the pipeline was built from. Build it again.")
            bundles[stage] = bundle
        check_together(list(bundles.values()))
        recorded = manifest["unproven"] if provider == manifest["provider"] else []
        unproven(bundles, provider, bundles if allow_unproven else recorded)
        first = next(iter(bundles.values()))
        if (manifest["bit_depth"], canonical_json(manifest["encoder"])) != (
            first.bit_depth,
            canonical_json(first.encoder),
        ):
            raise ToolkitError(f"{path}: the manifest's bit depth or encoder is not the bundles'. Build it again.")
        policy = Policy.from_dict(manifest["policy"])
        cascade: Cascade
        fused = read_fused(path, manifest)
        if fused and provider == manifest["provider"]:  # where alone it was compared
            cascade = FusedCascade.of(FusedModel(fused, bundles, provider, threads), bundles)
        else:
            cascade = Cascade({stage: b.session(provider, threads) for stage, b in bundles.items()})
        return cls(path, manifest, bundles, cascade, policy)

    @property
    def sha256(self) -> str:
        """Hash of the manifest, which names every bundle's: names this pipeline exactly."""
        return str(self.manifest["sha256"])

    @property
    def bit_depth(self) -> int:
        return int(self.manifest["bit_depth"])

    @property
    def encoder(self) -> dict[str, Any]:
        """Settings of the encoder whose decisions the models learnt."""
        return dict(self.manifest["encoder"])

    @property
    def node(self) -> int:
        """Side of the nodes that it decides about, in pixels."""
        return self.cascade.window.node

    def mask(self, luma: Luma, qindex: int, asked: NDArray[np.bool_] | None = None) -> NDArray[np.uint16]:
        """Allowed partitions of every node of a frame, (ceil(H / node), ceil(W / node)): bit k allows AV1 id k.

        `luma` (H, W) holds raw code values, `qindex` is the frame's, 0 to 255. Nodes cut by the frame's edge are 0:
        unrestricted; so are those that are not `asked` about (the mask's shape). Raises ToolkitError on luma of
        another dtype or bit depth, and a qindex out of range.
        """
        return frame_mask(self.cascade, self.policy, luma, qindex, self.bit_depth, asked)


def frame_mask(
    cascade: Cascade,
    policy: Policy,
    luma: Luma,
    qindex: int,
    bit_depth: int,
    asked: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint16]:
    """`Pipeline.mask` for any cascade and policy."""
    check_luma(luma, bit_depth, "Frame")
    if luma.ndim != 2:
        raise ToolkitError(f"Frame: luma has shape {luma.shape}, expected (height, width).")
    if not 0 <= qindex <= 255:
        raise ToolkitError(f"Frame: qindex {qindex}, expected 0 to 255.")
    node, (height, width) = cascade.window.node, luma.shape
    result = np.zeros((-(-height // node), -(-width // node)), np.uint16)
    wanted = np.ones((height // node, width // node), bool)
    if asked is not None:
        wanted &= asked[: height // node, : width // node]
    row, column = np.nonzero(wanted)
    if len(row):
        blocks = cut_nodes(luma, cascade.window, row, column)
        qindexes = np.full(len(blocks), qindex, np.uint8)
        flatness = deviation(blocks, bit_depth, cascade.window)
        result[row, column] = policy.masks(qindexes, flatness, cascade.asker(blocks, qindexes))
    return result


def cut_nodes(luma: Luma, window: Window, row: NDArray[np.int64], column: NDArray[np.int64]) -> Luma:
    """The windows (N, 1, S, S) around nodes of a frame (H, W), counted in nodes; code values untouched.

    They are those of a data set's blocks, frame borders included: the same function cuts them.
    """
    return cut_windows(luma[None], np.zeros_like(row), row * window.node, column * window.node, window)


def read_manifest(path: Path) -> dict[str, Any]:
    """A pipeline's manifest; ToolkitError unless it is a sealed one of this format."""
    if not path.is_dir():
        raise ToolkitError(f"{path}: no such folder. Make a pipeline with `av1part pipeline build`.")
    manifest = read_sealed(path / "manifest.json", KIND, FORMAT_VERSION, "a pipeline's", _MEND, _ENTRIES)
    check_stages(manifest["bundles"])  # before a path is made of them
    return manifest


def check_together(bundles: list[Bundle]) -> None:
    """Raise ToolkitError unless the bundles are of different stages, one node size, bit depth and set of encoder
    settings."""
    first = bundles[0]
    by_stage: dict[str, Bundle] = {}
    for bundle in bundles:
        if (other := by_stage.setdefault(bundle.stage, bundle)) is not bundle:
            raise ToolkitError(f"{other.path} and {bundle.path} are both of stage {bundle.stage}. Give one a stage.")
        own, other_node = bundle.contract.window.node, first.contract.window.node
        if own != other_node:
            raise ToolkitError(
                f"{bundle.path} decides about {own}x{own} nodes, {first.path} about {other_node}x{other_node}. "
                "Build a pipeline for each size; `av1part encode` takes both."
            )
        check_learnt_alike(first, bundle, "Train every stage on the same data set.")


def check_learnt_alike(first: "Bundle | Pipeline", other: "Bundle | Pipeline", advice: str) -> None:
    """Raise ToolkitError, ending in `advice`, unless both are of one bit depth and one set of encoder settings."""
    if other.bit_depth != first.bit_depth:
        raise ToolkitError(f"{other.path} takes {other.bit_depth} bit, {first.path} {first.bit_depth} bit. {advice}")
    if differences := settings_differ(first.encoder, other.encoder):
        raise ToolkitError(
            f"{other.path} and {first.path} learnt from different encoder settings ({differences}). {advice}"
        )


def unproven(bundles: dict[str, Bundle], provider: str, allowed: Collection[str]) -> list[str]:
    """Stages whose bundle has no passing parity report on that provider; ToolkitError on one that is not `allowed`."""
    found = [stage for stage, bundle in bundles.items() if not bundle.proven(provider)]
    for stage in found:
        if stage in allowed:
            _log.warning("Stage %s is not proven on %s; used all the same, as was asked.", stage, provider)
            continue
        bundle = bundles[stage]
        result = (bundle.report or {"providers": {}})["providers"].get(provider, {})
        has = f"its report says: {result['status']}" if result else "no report on it"
        raise ToolkitError(
            f"{bundle.path}: not proven on {provider} ({has}). Run `av1part parity {bundle.path} DATA --provider "
            f"{provider}`; --allow-unproven goes on without a proof."
        )
    return found
