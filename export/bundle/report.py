"""Report of a proof, profile by profile, on a bundle's exact bytes: parity.json, and to read parity.md and .html."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from export.bundle.replay import PROOF, REPLAY
from export.compare.batches import Difference
from export.compare.deployments import DeploymentResult
from export.compare.noninferiority import Int8BatchResult
from export.compare.verdict import BatchResult
from export.compare.worst_blocks import WorstBlock
from export.graph.profiles import PROFILES, is_profile
from toolkit.errors import ToolkitError
from toolkit.files import read_bytes
from toolkit.sealed import SealedFolder

_READABLE = ("parity.md", "parity.html")
REPORT_FILES = ("parity.json", *_READABLE, PROOF, REPLAY)
STATUSES = ("passed", "failed", "not-run")
_LIMIT = 1 << 22


class Drawn(TypedDict):
    """The blocks of a proof: of which data and split, how many at most (`limit`), and by which seed."""

    sha256: str
    split: str
    split_sha256: str
    blocks_sha256: str
    limit: int | None
    seed: int


class About(TypedDict):
    """What a proof was made of: blocks, files and packages."""

    blocks: int
    classes: list[str]
    any_settings: bool
    held_out: str
    data: Drawn
    model_sha256: str
    checkpoint_sha256: str
    versions: dict[str, str]


class ProfileResult(TypedDict):
    """One profile's result in parity.json. A profile that was not run has only the entries that are always there.

    Entries of `Verdict` or `Int8Verdict` and of `About` follow: `rms` to `max_budget` only where a budget decides,
    `noninferiority` only for int8.
    """

    profile: str
    provider: str
    precision: str
    budget_assumed: bool
    status: str
    reason: str
    comparisons: int
    rms: NotRequired[float]
    max: NotRequired[float]
    flips: NotRequired[int]
    flips_allowed: NotRequired[int]
    near_tie_share: NotRequired[float]
    batches: NotRequired[Mapping[str, BatchResult | Int8BatchResult]]
    ratio: NotRequired[float]
    rms_budget: NotRequired[float]
    max_budget: NotRequired[float]
    reference_rms: NotRequired[float]
    reference_max: NotRequired[float]
    calibration_blocks: NotRequired[int]
    noninferiority: NotRequired[dict[str, object]]
    placement: NotRequired[dict[str, int]]
    repeatability: NotRequired[dict[str, Difference]]
    batch_variance: NotRequired[dict[str, float | None]]
    deployments: NotRequired[dict[str, DeploymentResult]]
    worst: NotRequired[list[WorstBlock]]
    gpu: NotRequired[dict[str, str]]
    blocks: NotRequired[int]
    classes: NotRequired[list[str]]
    any_settings: NotRequired[bool]
    held_out: NotRequired[str]
    data: NotRequired[Drawn]
    model_sha256: NotRequired[str]
    checkpoint_sha256: NotRequired[str]
    versions: NotRequired[dict[str, str]]


class BundleName(TypedDict):
    """What a reader calls a bundle: the name of its folder at the proof, its stage and backbone."""

    name: str
    stage: str
    backbone: str


class ReportBody(TypedDict):
    """What parity.json says. `providers`: the results of `profiles` that prove cpu, cuda or webgpu."""

    bundle: BundleName
    manifest_sha256: str
    passed: bool
    profiles: dict[str, ProfileResult]
    providers: dict[str, ProfileResult]
    proof_npz_sha256: NotRequired[str]


class Report(ReportBody):
    """parity.json, with the hashes of its readable forms."""

    kind: str
    format_version: int
    parity_md_sha256: str
    parity_html_sha256: str
    sha256: str


class _Read(TypedDict):
    profiles: dict[str, object]


_AGAIN = "Run `av1part parity` again."
FORMAT = SealedFolder("av1part-parity", 2, _Read, "a parity report", _AGAIN, "parity.json", _LIMIT)


def load_report(bundle: Path, manifest_sha256: str) -> Report | None:
    """Read a bundle's report; None where there is none.

    Raises ToolkitError for a report that was edited, is malformed, or was written for the bytes of another bundle.
    """
    file = bundle / "parity.json"
    if not file.is_file():
        for name in REPORT_FILES[1:]:
            if (bundle / name).exists():
                raise ToolkitError(f"{bundle}: {name} without parity.json. Run `av1part parity` again.")
        return None
    report = cast(Report, FORMAT.read(bundle))
    if report.get("manifest_sha256") != manifest_sha256:
        raise ToolkitError(f"{file}: written for another bundle ({report.get('manifest_sha256')!r:.14}...). {_AGAIN}")
    profiles = report["profiles"]
    for name, result in profiles.items():
        sound = isinstance(result, dict) and is_profile(name) and result.get("status") in STATUSES
        if not sound or type(result.get("comparisons")) is not int:
            raise ToolkitError(f"{file}: the result of {name!r:.20} is malformed. {_AGAIN}")
    if report.get("providers") != by_provider(profiles):
        raise ToolkitError(f"{file}: providers are not those of its profiles. {_AGAIN}")
    for name in _READABLE:
        readable = bundle / name
        if not readable.is_file() or readable.stat().st_size > _LIMIT:
            raise ToolkitError(f"{readable}: missing or larger than {_LIMIT} bytes. {_AGAIN}")
        if _sha256(read_bytes(readable)) != report.get(hash_key(name)):
            raise ToolkitError(f"{readable}: changed since parity.json was written. {_AGAIN}")
    kept = bundle / PROOF
    if kept.exists() != ("proof_npz_sha256" in report):
        raise ToolkitError(f"{kept}: {'not in parity.json' if kept.exists() else 'missing'}. {_AGAIN}")
    if kept.exists() and _sha256(read_bytes(kept)) != report["proof_npz_sha256"]:
        raise ToolkitError(f"{kept}: changed since parity.json was written. {_AGAIN}")
    return report


def by_provider(profiles: Mapping[str, ProfileResult]) -> dict[str, ProfileResult]:
    """Results that let a pipeline use a provider, by the provider's name.

    A float32 bundle has a cpu-fp32 result, an int8 one cpu-int8. A profile that ran takes precedence over one that did
    not.
    """
    found: dict[str, ProfileResult] = {}
    for name, profile in PROFILES.items():
        if profile.proves and name in profiles:
            earlier = found.setdefault(profile.proves, profiles[name])
            if earlier["status"] == "not-run" != profiles[name]["status"]:
                found[profile.proves] = profiles[name]
    return found


def hash_key(name: str) -> str:
    """Entry of parity.json that holds the hash of a file beside it."""
    return name.replace(".", "_") + "_sha256"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
