"""JUnit XML of a parity run, for servers that show test results."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.files import atomic_write_bytes


def write_junit(path: Path, result: Mapping[str, Any]) -> None:
    """Write a suite for each profile with a case for each batch size (`prove`), or a case for each fault (`selftest`).

    A profile or fault that was not run counts as skipped, never as passed. Raises ToolkitError where the file cannot be
    written.
    """
    root = ET.Element("testsuites", name="av1part parity")
    for name, profile in result.get("profiles", {}).items():
        cases = {f"batch {size}": "; ".join(b["reasons"]) for size, b in profile.get("batches", {}).items()}
        skipped = profile["reason"] if profile["status"] == "not-run" else None
        # A failure of the whole profile (a graph that does not load, outputs that do not repeat) has no batch size.
        listed = any(cases.values())
        whole = profile["reason"] if profile["status"] == "failed" and not listed else ""
        _suite(root, name, {**cases, "profile": whole}, skipped)
    if "faults" in result:
        faults = {n: f["reason"] or n for n, f in result["faults"].items() if f["status"] in ("missed", "failed")}
        beside = {n: f["reason"] for n, f in result["faults"].items() if f["status"] in ("not-applicable", "not-run")}
        caught = {n: faults.get(n, "") for n in result["faults"] if n not in beside}
        suite = _suite(root, "selftest", caught, None)
        for name, reason in beside.items():
            case = ET.SubElement(suite, "testcase", classname="selftest", name=_clean(name))
            ET.SubElement(case, "skipped", message=_clean(reason))
        suite.set("tests", str(len(caught) + len(beside)))
        suite.set("skipped", str(len(beside)))
    _write(path, root)


@contextmanager
def errors_to(path: Path | None) -> Iterator[None]:
    """Write a ToolkitError as the only case of a suite and raise it again: no earlier run's file may remain."""
    try:
        yield
    except ToolkitError as error:
        if path:
            root = ET.Element("testsuites", name="av1part parity")
            suite = ET.SubElement(root, "testsuite", name="parity", tests="1", failures="0", errors="1", skipped="0")
            case = ET.SubElement(suite, "testcase", classname="parity", name="run")
            ET.SubElement(case, "error", message=_clean(error.message))
            _write(path, root)
        raise


def _write(path: Path, root: ET.Element) -> None:
    ET.indent(root)
    atomic_write_bytes(path, ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _suite(root: ET.Element, name: str, cases: dict[str, str], skipped: str | None) -> ET.Element:
    """Add a suite of cases, each with the reason why it failed, or empty. With `skipped` all cases are skipped."""
    failures = sum(bool(reason) for reason in cases.values())
    counts = {
        "tests": len(cases),
        "failures": failures,
        "errors": 0,
        "skipped": len(cases) if skipped is not None else 0,
    }
    suite = ET.SubElement(root, "testsuite", name=name)
    for key, value in counts.items():
        suite.set(key, str(value))
    for case_name, reason in cases.items():
        case = ET.SubElement(suite, "testcase", classname=name, name=_clean(case_name))
        if skipped is not None:
            ET.SubElement(case, "skipped", message=_clean(skipped))
        elif reason:
            ET.SubElement(case, "failure", message=_clean(reason))
    return suite


def _clean(text: str) -> str:
    """Replace control characters, which XML cannot hold."""
    return re.sub(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]", "?", text)
