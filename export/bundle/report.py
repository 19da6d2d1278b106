"""parity.json: what was proven of a bundle's exact bytes, profile by profile; parity.md and .html, the same to read."""

import hashlib
from pathlib import Path
from typing import Any

from export.bundle.render import render_html, render_markdown
from export.graph.profiles import PROFILES
from toolkit.errors import ToolkitError
from toolkit.files import atomic_write_bytes, atomic_write_json, seal
from toolkit.sealed import read_sealed

KIND = "av1part-parity"
FORMAT_VERSION = 2
REPORT_FILES = ("parity.json", "parity.md", "parity.html")
_READABLE = REPORT_FILES[1:]
STATUSES = ("passed", "failed", "not-run")
_LIMIT = 1 << 22


def load_report(bundle: Path, manifest_sha256: str) -> dict[str, Any] | None:
    """A bundle's report, or None where there is none.

    Raises ToolkitError where it was edited, is malformed, or was written for other bytes than this bundle's.
    """
    file = bundle / "parity.json"
    if not file.is_file():
        for name in _READABLE:
            if (bundle / name).exists():
                raise ToolkitError(f"{bundle}: {name} without parity.json. Run `av1part parity` again.")
        return None
    again = "Run `av1part parity` again."
    report = read_sealed(file, KIND, FORMAT_VERSION, "a parity report", again, {"profiles": dict}, limit=_LIMIT)
    if report.get("manifest_sha256") != manifest_sha256:
        raise ToolkitError(f"{file}: written for another bundle ({report.get('manifest_sha256')!r:.14}...). {again}")
    profiles = report["profiles"]
    for name, result in profiles.items():
        sound = isinstance(result, dict) and name in PROFILES and result.get("status") in STATUSES
        if not sound or type(result.get("comparisons")) is not int:
            raise ToolkitError(f"{file}: the result of {name!r:.20} is malformed. {again}")
    if report.get("providers") != by_provider(profiles):
        raise ToolkitError(f"{file}: providers are not those of its profiles. {again}")
    for name in _READABLE:
        readable = bundle / name
        if not readable.is_file() or readable.stat().st_size > _LIMIT:
            raise ToolkitError(f"{readable}: missing or larger than {_LIMIT} bytes. {again}")
        if _sha256(readable.read_bytes()) != report.get(_hash_key(name)):
            raise ToolkitError(f"{readable}: changed since parity.json was written. {again}")
    return report


def by_provider(profiles: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The results of those profiles that let a pipeline use a provider, by its name.

    A float32 bundle has a cpu-fp32 result, an int8 one cpu-int8; what was not run gives way to what was.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, profile in PROFILES.items():
        if profile.proves and name in profiles:
            earlier = found.setdefault(profile.proves, profiles[name])
            if earlier["status"] == "not-run" != profiles[name]["status"]:
                found[profile.proves] = profiles[name]
    return found


def write_report(bundle: Path, manifest_sha256: str, results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Write the files, atomically each, and return the report.

    Results of other profiles for the same manifest are kept, and so is a profile's earlier result where it could
    not run now: the machine that has the GPU need not be the one that has the encoder.
    """
    try:
        earlier = load_report(bundle, manifest_sha256)
    except ToolkitError:
        earlier = None  # damaged, or another bundle's: there is nothing in it to keep
    profiles: dict[str, dict[str, Any]] = dict(earlier["profiles"]) if earlier else {}
    for name, result in results.items():
        if result["status"] != "not-run" or name not in profiles:
            profiles[name] = result
    statuses = [result["status"] for result in profiles.values()]
    body = {
        "kind": KIND,
        "format_version": FORMAT_VERSION,
        "manifest_sha256": manifest_sha256,
        "passed": "passed" in statuses and "failed" not in statuses,
        "profiles": profiles,
        "providers": by_provider(profiles),
    }
    texts = {"parity.md": render_markdown(body).encode(), "parity.html": render_html(body).encode()}
    report = seal({**body, **{_hash_key(name): _sha256(text) for name, text in texts.items()}})
    for name, text in texts.items():
        atomic_write_bytes(bundle / name, text)
    atomic_write_json(bundle / "parity.json", report)
    return report


def _hash_key(name: str) -> str:
    return name.replace(".", "_") + "_sha256"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
