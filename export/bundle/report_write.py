"""Writing of a parity report: its readable forms need jinja2, which reading does not."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from export.bundle.render import render_html, render_markdown
from export.bundle.replay import PROOF, REPLAY, put_kept
from export.bundle.report import (
    FORMAT,
    BundleName,
    ProfileResult,
    Report,
    ReportBody,
    by_provider,
    hash_key,
    load_report,
)
from toolkit.errors import ToolkitError
from toolkit.files import atomic_write_bytes


def write_report(
    bundle: Path,
    manifest_sha256: str,
    named: BundleName,
    results: Mapping[str, ProfileResult],
    kept: bytes | None = None,
) -> Report:
    """Write the files, each atomically, and return the report. `kept`: content of proof.npz, if any.

    Earlier results for the same manifest are kept for profiles that did not run now: the machine with the GPU need not
    be the one with the encoder.
    """
    try:
        earlier = load_report(bundle, manifest_sha256)
    except ToolkitError:
        earlier = None  # damaged, or of another bundle: it holds nothing to keep
    profiles: dict[str, ProfileResult] = dict(earlier["profiles"]) if earlier else {}
    for name, result in results.items():
        if result["status"] != "not-run" or name not in profiles:
            profiles[name] = result
    statuses = [result["status"] for result in profiles.values()]
    body: ReportBody = {
        "bundle": named,
        "manifest_sha256": manifest_sha256,
        "passed": "passed" in statuses and "failed" not in statuses,
        "profiles": profiles,
        "providers": by_provider(profiles),
    }
    if kept is not None:
        body["proof_npz_sha256"] = put_kept(bundle, kept)
    else:
        for name in (PROOF, REPLAY):
            (bundle / name).unlink(missing_ok=True)
    texts = {"parity.md": render_markdown(body).encode(), "parity.html": render_html(body).encode()}
    for name, text in texts.items():
        atomic_write_bytes(bundle / name, text)
    hashes = {hash_key(name): hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    return cast(Report, FORMAT.write({**body, **hashes}, bundle))
