"""Proven bundles chained into one pipeline, which masks the nodes of a frame at its qindex; perhaps with a pruner."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from export.bundle.bundle import BESIDE, MANIFEST, SIZE_LIMITS, Bundle
from integration.codec import native
from integration.codec.libaom_build import libraries
from integration.codec.masker import Masker
from integration.codec.masks import Mask
from integration.pipeline import hook_file
from integration.pipeline.models import BundleModel, network_of
from integration.pipeline.policy import Policy
from integration.pipeline.stages import Cascade, check_stages
from integration.pruning import bundle as pruning
from integration.pruning.bundle import PrunerBundle
from toolkit.data.blockset import Luma
from toolkit.data.encoder_settings import EncoderRecord, settings_differ
from toolkit.errors import ToolkitError
from toolkit.files import canonical_json, quoted
from toolkit.folders import PIPELINE
from toolkit.sealed import SealedFolder, check_names
from toolkit.shapes import Sha256

PRUNER = "pruner"
"""Folder, and entry of the manifest, of the pruner in a pipeline that has one."""
_MADE_FOR = ("version", "usage", "cpu_used", "enable_1to4_partitions")
_MEND = "Build the pipeline again with `av1part pipeline build`."


class PipelineManifest(TypedDict):
    """Content of manifest.json. `bundles`: hash of each stage's; `pruner`: hash of the one inside; `weak`: by stage.

    `policy`: as of `Policy.to_dict`; `policy_fit` tells where it came from. `unproven`: stages that were taken without
    a proof.
    """

    kind: str
    format_version: int
    bundles: dict[str, Sha256]
    bit_depth: int
    encoder: EncoderRecord
    policy: dict[str, object]
    provider: str
    unproven: list[str]
    weak: NotRequired[dict[str, list[str]]]
    policy_fit: NotRequired[dict[str, object]]
    pruner: NotRequired[Sha256]
    fused: NotRequired[dict[str, object]]
    sha256: str


FORMAT = SealedFolder(PIPELINE.kind, 1, PipelineManifest, "a pipeline's", _MEND, MANIFEST)
_log = logging.getLogger("av1part")


@dataclass(frozen=True)
class Pipeline:
    """A pipeline folder, ready to run; open it with `Pipeline.load`. `bundles` are by stage.

    `pruner`: what decides inside the search of a frame that was masked before, at its own price; None where the
    pipeline has none. `provider`: what the models run on. `threads`: of ONNX Runtime in one network, None for one a
    core.
    """

    path: Path
    manifest: PipelineManifest
    bundles: dict[str, Bundle]
    cascade: Cascade
    policy: Policy
    pruner: PrunerBundle | None = None
    provider: str = "cpu"
    threads: int | None = None

    @classmethod
    def load(
        cls, path: Path | str, provider: str | None = None, threads: int | None = None, *, allow_unproven: bool = False
    ) -> "Pipeline":
        """Open a pipeline and verify every byte of it, on the `provider` it was built for unless another is given.

        Raises ToolkitError on a changed or missing file, on bundles or a pruner that do not fit together, and on a
        bundle that is not proven on the provider; for the last, a warning is logged instead with `allow_unproven`, or
        where the pipeline was built with it.
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
        parts = (MANIFEST, *SIZE_LIMITS, *BESIDE)
        files = [hook_file.NAME, *(f"bundles/{stage}/{name}" for stage in bundles for name in parts)]
        if "fused" in manifest:  # all stages as one graph, which earlier versions could add; the stages are beside it
            files.append("fused.onnx")
        pruner = _pruner(path, manifest)
        check_names(path, [*files, *(f"{PRUNER}/{n}" for n in (pruning.MANIFEST, *pruning.FILES) if pruner)])
        hook_file.check_hook_file(path, manifest, bundles, policy)
        models = {stage: BundleModel(bundle, provider, threads) for stage, bundle in bundles.items()}
        if provider != "cpu":  # C runs networks on the CPU alone; a GPU that is missing is missing now, not at a frame
            for model in models.values():
                model.session  # noqa: B018
        return cls(path, manifest, bundles, Cascade(models), policy, pruner, provider, threads)

    @property
    def sha256(self) -> str:
        """Hash of the manifest and thereby of every bundle: it identifies this pipeline exactly."""
        return str(self.manifest["sha256"])

    @property
    def bit_depth(self) -> int:
        return int(self.manifest["bit_depth"])

    @property
    def encoder(self) -> EncoderRecord:
        """Settings of the encoder whose decisions the models learnt."""
        return self.manifest["encoder"]

    @property
    def node(self) -> int:
        """Side, in pixels, of the nodes that it decides about."""
        return self.cascade.window.node

    @cached_property
    def masker(self) -> Masker:
        """The engine with this pipeline alone; errors as of Masker."""
        masker = Masker(self.bit_depth)
        self.add_to(masker)
        return masker

    def add_to(self, masker: Masker) -> None:
        """Load the networks and the policy into the engine; ToolkitError where it refuses them."""
        ranges = [(last, astuple(thresholds)) for last, thresholds in self.policy.ranges]
        networks = {stage: network_of(model) for stage, model in self.cascade.models.items()}
        masker.add(self.node, ranges, networks, self.threads)

    def mask(self, luma: Luma, qindex: int) -> Mask:
        """Allowed partitions of every node of a frame, (ceil(H / node), ceil(W / node)): bit k allows AV1 id k.

        `luma` (H, W) holds raw code values; `qindex` is the frame's, 0 to 255. Nodes cut by the frame's edge are 0,
        which means unrestricted. Raises ToolkitError on luma of another dtype or bit depth, on a qindex out of range,
        and where libaom with the hook, whose engine decides, is not built.
        """
        return self.masker.masks(luma, qindex)[self.node]


def read_manifest(path: Path) -> PipelineManifest:
    """Read a pipeline's manifest; ToolkitError unless it is sealed and of this format."""
    manifest = FORMAT.read(path)
    check_stages(manifest["bundles"])  # before paths are made from their names
    return manifest


def _pruner(path: Path, manifest: PipelineManifest) -> PrunerBundle | None:
    """The pruner of a pipeline, None where the manifest names none; errors as `Pipeline.load`."""
    if "pruner" not in manifest:
        return None
    found = PrunerBundle.load(path / PRUNER)
    if found.sha256 != manifest["pruner"]:
        raise ToolkitError(f"{found.path} is not the pruner that the pipeline was built with. {_MEND}")
    check_pruner(found, manifest["encoder"])
    return found


def check_pruner(pruner: PrunerBundle, made_for: Mapping[str, Any]) -> None:
    """Raise ToolkitError unless a pruner suits stages that learnt from these encoder settings, and this hook.

    libaom's version, usage, speed and 4-way partitions have to be the same; a pruner serves 8 and 10 bit alike.
    """
    differ = [
        f"{key} is {pruner.encoder.get(key)!r} there and {made_for.get(key, 'not recorded')!r} of the stages"
        for key in _MADE_FOR
        if pruner.encoder.get(key) != made_for.get(key)
    ]
    if differ:
        raise ToolkitError(
            f"{pruner.path}: the pruner was made for another encoder: {'; '.join(differ)}. "
            "Record and label with the same settings."
        )
    pruner.check_library(native.load(libraries().hook))


def check_together(bundles: Sequence[Bundle]) -> None:
    """Raise ToolkitError unless the bundles suit one pipeline.

    They have to be of different stages, and of the same node size, bit depth and encoder settings.
    """
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
    check_learnt_alike(bundles, "Train every stage on the same data set.")


def check_learnt_alike(models: "Sequence[Bundle] | Sequence[Pipeline]", advice: str) -> None:
    """Raise ToolkitError, ending in `advice`, unless all take one bit depth and learnt from one set of settings."""
    first = models[0]
    for other in models[1:]:
        if other.bit_depth != first.bit_depth:
            found = f"{other.path} takes {other.bit_depth} bit, {first.path} {first.bit_depth} bit"
            raise ToolkitError(f"{found}. {advice}")
        if differences := settings_differ(first.encoder, other.encoder):
            raise ToolkitError(
                f"{other.path} and {first.path} learnt from different encoder settings ({differences}). {advice}"
            )


def unproven(bundles: dict[str, Bundle], provider: str, allowed: Collection[str]) -> list[str]:
    """Stages whose bundle has no passing parity report on that provider; ToolkitError unless all are `allowed`."""
    found = [stage for stage, bundle in bundles.items() if not bundle.proven(provider)]
    for stage in found:
        if stage in allowed:
            _log.warning("Stage %s is not proven on %s; used all the same, as was asked.", stage, provider)
            continue
        bundle = bundles[stage]
        result = bundle.proof(provider)
        has = f"its report says: {result['status']}" if result else "no report on it"
        raise ToolkitError(
            f"{bundle.path}: not proven on {provider} ({has}). Run `av1part parity {quoted(bundle.path)} DATA "
            f"--provider {provider}`; --allow-unproven goes on without a proof."
        )
    return found
