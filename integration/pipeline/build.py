"""Building a pipeline: bundles and a pruner are copied in, the copies checked, all sealed under one manifest."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from export.bundle.bundle import BESIDE, MANIFEST, SIZE_LIMITS, Bundle
from integration.pipeline import hook_file
from integration.pipeline.config import BuildConfig
from integration.pipeline.pipeline import FORMAT, PRUNER, check_pruner, check_together, unproven
from integration.pipeline.policy import Policy
from integration.pipeline.stages import Cascade
from integration.pruning.bundle import PrunerBundle, copy_pruner
from toolkit.errors import ToolkitError
from toolkit.files import atomic_folder


def build_pipeline(
    paths: Sequence[Path],
    output: Path,
    policy: Policy,
    config: BuildConfig,
    *,
    overwrite: bool = False,
    policy_fit: Mapping[str, Any] | None = None,
    pruner: PrunerBundle | None = None,
) -> dict[str, Bundle]:
    """Copy bundles, and a pruner where one is given, into a new pipeline folder; return the bundles' copies by stage.

    `policy_fit`, for the manifest, tells where the policy came from. A bundle without a passing parity report for its
    exact bytes on the provider is an error, or is logged and recorded where the config allows it. Raises ToolkitError
    also where Stage 2 is missing, and where bundles or the pruner do not fit together.
    """
    originals = [Bundle.load(path) for path in paths]
    if not originals:
        raise ToolkitError("No bundle given. Make one with `av1part export`.")
    check_together(originals)
    if pruner:
        check_pruner(pruner, originals[0].encoder)
    by_stage = {bundle.stage: bundle for bundle in originals}
    stages = Cascade({stage: bundle.session(config.provider) for stage, bundle in by_stage.items()}).stages
    missing = unproven(by_stage, config.provider, by_stage if config.allow_unproven else ())
    with atomic_folder(output, overwrite=overwrite) as folder:
        copies = {stage: _copy(by_stage[stage], folder / "bundles" / stage) for stage in stages}
        # Above, the originals were checked; the copies are what will run.
        unproven({s: b for s, b in copies.items() if s not in missing}, config.provider, ())
        manifest: dict[str, Any] = {
            "bundles": {stage: bundle.sha256 for stage, bundle in copies.items()},
            "bit_depth": originals[0].bit_depth,
            "encoder": originals[0].encoder,
            "policy": policy.to_dict(),
            "provider": config.provider,
            "unproven": missing,
            "weak": {stage: bundle.manifest["weak"] for stage, bundle in copies.items() if bundle.manifest["weak"]},
        }
        if policy_fit:
            manifest["policy_fit"] = policy_fit
        if pruner:
            manifest[PRUNER] = copy_pruner(pruner, folder / PRUNER).sha256
        text = hook_file.hook_text(manifest, copies, policy)
        if text is not None:
            (folder / hook_file.NAME).write_bytes(text)
        FORMAT.write(manifest, folder)
    return {stage: Bundle.load(output / "bundles" / stage) for stage in stages}


def _copy(bundle: Bundle, target: Path) -> Bundle:
    target.mkdir(parents=True)
    for name in (MANIFEST, *SIZE_LIMITS, *BESIDE):
        if (bundle.path / name).is_file():
            shutil.copyfile(bundle.path / name, target / name)
    copy = Bundle.load(target)
    if copy.sha256 != bundle.sha256:
        raise ToolkitError(f"{bundle.path} changed while it was copied. Build the pipeline again.")
    return copy
