"""Tables of a parity report's page."""

from collections.abc import Mapping
from typing import Any

from export.bundle.report import ProfileResult
from export.compare.deployments import DeploymentResult
from toolkit.reports.section import Cell, Section


def result_tables(result: ProfileResult) -> list[Section]:
    """Tables of a profile that ran: its verdict, and errors by class."""
    batches = by_size(result["batches"])
    if not batches:
        return []
    tables = [_decisions(batches)] if "noninferiority" in result else []
    if "noninferiority" not in result and "rms_budget" in result:
        tables = [_errors(batches, result)]
    rows = [
        _row(
            size,
            *(
                f"{three_digits(rms)} ({three_digits(most)})"
                for rms, most in zip(b["rms_per_class"], b["max_per_class"], strict=True)
            ),
        )
        for size, b in batches
    ]
    columns = ("batch size", *result["classes"])
    if "deployments" in result:
        tables.append(_deployments(result["deployments"]))
    return [*tables, Section("RMS (largest) error of each class's logit", columns=columns, rows=rows)]


def _decisions(batches: list[tuple[str, Any]]) -> Section:
    columns = (
        "batch size", "blocks", "sources", "macro-F1 less float64's", "lower bound (95%)", "calibration error",
        "float64's", "decisions changed",
    )  # fmt: skip
    rows = [
        _row(
            size, str(b["blocks"]), str(b["sources"]), f"{b['f1_difference']:+.4f}", f"{b['f1_lower']:+.4f}",
            f"{b['ece']:.4f}", f"{b['ece_float64']:.4f}", str(b["flips"]),
        )
        for size, b in batches
    ]  # fmt: skip
    return Section("Decisions against float64's", columns=columns, rows=rows)


def _errors(batches: list[tuple[str, Any]], result: ProfileResult) -> Section:
    shares = ("50", "90", "99", "99.9")
    columns = ("batch size", "RMS error", *(f"{share}%" for share in shares))
    columns += ("largest", "decisions changed", "of them on near-ties", "near-ties")
    rows = [
        _row(
            size, three_digits(b["rms"]), *(three_digits(b["percentiles"].get(share, 0.0)) for share in shares),
            three_digits(b["max"]), str(b["flips"]), str(b["flips_allowed"]), f"{100 * b['near_tie_share']:.2f}%",
        )
        for size, b in batches
    ]  # fmt: skip
    rms, most = three_digits(result["rms_budget"]), three_digits(result["max_budget"])
    budget = ["budget", rms, *[""] * len(shares), most, "0", "", "5.00%"]
    rows.append([Cell(text, "strong") for text in budget])
    return Section("Errors of the logits against float64, and their percentiles", columns=columns, rows=rows)


def _deployments(found: Mapping[str, DeploymentResult]) -> Section:
    columns = ("deployment, batches of 64", "RMS error", "largest", "decisions changed")
    rows = [
        _row(name, three_digits(d["rms"]), three_digits(d["max"]), str(d["flips"])) for name, d in sorted(found.items())
    ]
    return Section("Errors in other deployments on the CPU", columns=columns, rows=rows)


def _row(*texts: str) -> list[Cell]:
    return [Cell(text) for text in texts]


def three_digits(value: float | str) -> str:
    """Three digits of a number; text as it is."""
    return value if isinstance(value, str) else f"{value:.3g}"


def by_size(batches: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Comparisons with their batch sizes, the smallest first."""
    return sorted(batches.items(), key=lambda item: int(item[0]))
