"""Readable forms of parity.json: Markdown, and one HTML file that needs no other file."""

from collections.abc import Mapping

from export.bundle.report import ReportBody
from export.bundle.report_tables import by_size, result_tables, three_digits
from export.compare.batches import Difference
from export.graph.vulkan import describe, identified
from toolkit.reports.page import Filters, render


def render_markdown(report: ReportBody) -> str:
    """Render the report as Markdown."""
    return render("export", "parity.md.jinja", _FILTERS, report=report)


def render_html(report: ReportBody) -> str:
    """Render the report as HTML, with each profile's ten worst blocks as pictures. Every text is escaped."""
    tables = {name: result_tables(result) for name, result in report["profiles"].items() if "batches" in result}
    return render("export", "parity.html.jinja", _FILTERS, report=report, tables=tables)


def _repeats(values: Mapping[str, Difference]) -> str:
    """Say for each pair of runs whether they agree "to the bit", or by how much they differ."""
    text = {n: "to the bit" if r["equal"] else f"largest difference {r['largest']}" for n, r in sorted(values.items())}
    return ", ".join(f"{n}: {t}" for n, t in text.items()) or "not measured"


_FILTERS: Filters = {
    "g": three_digits,
    "device": describe,
    "identified": identified,
    "pairs": lambda values: ", ".join(f"{k} {v}" for k, v in sorted(values.items())),
    "repeats": _repeats,
    "by_size": by_size,
}
