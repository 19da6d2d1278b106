"""parity.json: what was proven of a bundle's exact bytes, provider by provider; and parity.md, the same to read."""

import hashlib
from pathlib import Path
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.files import atomic_write_bytes, atomic_write_json, is_sealed, read_json, seal

KIND = "av1part-parity"
FORMAT_VERSION = 1
REPORT_FILES = ("parity.json", "parity.md")
STATUSES = ("passed", "failed", "not-run")
_LIMIT = 1 << 22


def load_report(bundle: Path, manifest_sha256: str) -> dict[str, Any] | None:
    """A bundle's report, or None where there is none.

    Raises ToolkitError where it was edited, is malformed, or was written for other bytes than this bundle's.
    """
    file = bundle / "parity.json"
    if not file.is_file():
        if (bundle / "parity.md").exists():
            raise ToolkitError(f"{bundle}: parity.md without parity.json. Run `av1part parity` again.")
        return None
    again = "Run `av1part parity` again."
    if file.stat().st_size > _LIMIT:
        raise ToolkitError(f"{file}: larger than {_LIMIT} bytes, so not one of ours. {again}")
    report = read_json(file)
    if not isinstance(report, dict) or report.get("kind") != KIND or report.get("format_version") != FORMAT_VERSION:
        raise ToolkitError(f"{file}: not a parity report of version {FORMAT_VERSION}. {again}")
    if not is_sealed(report):
        raise ToolkitError(f"{file} was edited: its sha256 does not match. {again}")
    if report.get("manifest_sha256") != manifest_sha256:
        raise ToolkitError(f"{file}: written for another bundle ({report.get('manifest_sha256')!r:.14}...). {again}")
    providers = report.get("providers")
    if not isinstance(providers, dict):
        raise ToolkitError(f"{file}: no providers. {again}")
    for name, result in providers.items():
        sound = isinstance(result, dict) and result.get("status") in STATUSES
        if not sound or type(result.get("comparisons")) is not int:
            raise ToolkitError(f"{file}: the result of {name!r:.20} is malformed. {again}")
    readable = bundle / "parity.md"
    if not readable.is_file() or _sha256(readable.read_bytes()) != report.get("parity_md_sha256"):
        raise ToolkitError(f"{readable}: missing or changed since parity.json was written. {again}")
    return report


def write_report(bundle: Path, manifest_sha256: str, results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Write both files, atomically each, and return the report.

    Results of other providers for the same manifest are kept, and so is a provider's earlier result where it could
    not run now: the machine that has the GPU need not be the one that has the encoder.
    """
    try:
        earlier = load_report(bundle, manifest_sha256)
    except ToolkitError:
        earlier = None  # damaged, or another bundle's: there is nothing in it to keep
    providers: dict[str, dict[str, Any]] = dict(earlier["providers"]) if earlier else {}
    for name, result in results.items():
        if result["status"] != "not-run" or name not in providers:
            providers[name] = result
    statuses = [result["status"] for result in providers.values()]
    body = {
        "kind": KIND,
        "format_version": FORMAT_VERSION,
        "manifest_sha256": manifest_sha256,
        "passed": "passed" in statuses and "failed" not in statuses,
        "providers": providers,
    }
    text = render(body).encode()
    report = seal({**body, "parity_md_sha256": _sha256(text)})
    atomic_write_bytes(bundle / "parity.md", text)
    atomic_write_json(bundle / "parity.json", report)
    return report


def render(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = [
        "# Parity: ONNX Runtime against PyTorch",
        "",
        f"Verdict: **{'passed' if report['passed'] else 'NOT PASSED'}**, for the bundle whose manifest has sha256",
        f"`{report['manifest_sha256']}`. Made from parity.json, which alone counts.",
        "",
        "Errors are those of logits against the float64 PyTorch model. The budget is 4 times (RMS) and 8 times",
        "(largest) the error of PyTorch float32 on the calibration blocks. A decision may differ from float64's only",
        "where its two largest logits lie closer than twice the budget (a near-tie).",
    ]
    for name, result in report["providers"].items():
        lines += ["", f"## {name}: {result['status']}", ""]
        if result["reason"]:
            lines += [result["reason"], ""]
        if result["status"] == "not-run":
            continue
        data = result["data"]
        lines += [
            f"{result['comparisons']} logits compared; {result['blocks']} blocks of the {data['split']} split "
            f"(seed {data['seed']}) of data set `{data['sha256'][:16]}`. Nodes: {_pairs(result['placement'])}. "
            f"Held out from training: {result['held_out']}.",
            "",
            "| batch | RMS error | budget | largest | budget | flips | flips on near-ties | near-ties |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {size} | {b['rms']:.3g} | {result['rms_budget']:.3g} | {b['max']:.3g} | {result['max_budget']:.3g} | "
            f"{b['flips']} | {b['flips_allowed']} | {b['near_tie_share']:.2%} |"
            for size, b in sorted(result["batches"].items(), key=lambda item: int(item[0]))
        ]
        lines += ["", f"RMS error is {result['ratio']:.2f} times PyTorch float32's. {_pairs(result['versions'])}."]
    return "\n".join(lines) + "\n"


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in sorted(values.items()))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
