"""Write a comparison: one HTML file that needs nothing beside it, and Markdown."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from toolkit.escaping import markdown
from toolkit.experiments.compare import Comparison
from toolkit.experiments.figures import draw_comparison
from toolkit.experiments.tables import Reliabilities, headline, sections
from toolkit.files import atomic_write_bytes
from toolkit.reports.page import render
from toolkit.reports.section import Cell


def write_report(comparison: Comparison, reliability: Reliabilities, target: Path) -> tuple[Path, Path]:
    """Write TARGET.html and TARGET.md and return both paths; an ending .html or .md of `target` is dropped."""
    stem = target.with_suffix("") if target.suffix in (".html", ".md") else target
    paths = stem.with_name(f"{stem.name}.html"), stem.with_name(f"{stem.name}.md")
    for path in paths:
        atomic_write_bytes(path, render_comparison(comparison, reliability, path.suffix[1:]).encode())
    return paths


def render_comparison(comparison: Comparison, reliability: Reliabilities, kind: str) -> str:
    """Text of the report; `kind` is html or md."""
    first = comparison.runs[0]
    return render(
        "toolkit",
        f"compare.{kind}.jinja",
        {"cells": _markdown_cells},
        stage=first.stage,
        classes=first.classes,
        runs=comparison.runs,
        groups=comparison.groups,
        data=first.description["data"],
        data_name=Path(first.description["data"]["path"]).name,
        blocks=first.description["blocks"],
        headline=headline(comparison),
        notes=comparison.notes,
        sections=sections(comparison, reliability),
        pictures=draw_comparison(comparison, reliability) if kind == "html" else {},
    )


def _markdown_cells(cells: Sequence[Cell | str]) -> Markup:
    """A row of a table in Markdown, without the bars at its ends."""
    return Markup(" | ".join(_markdown_cell(Cell(c) if isinstance(c, str) else c) for c in cells))


def _markdown_cell(cell: Cell) -> str:
    text = markdown(cell.text)
    return f"**{text}**" if cell.tone in ("good", "bad", "strong") and text else text
