"""Writing a comparison: one HTML file that needs nothing beside it, and Markdown.

Jinja2 (which torch needs too) does the escaping: names of runs and of data sets are other people's text.
"""

import base64
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from toolkit.experiments.figures import draw_comparison
from toolkit.experiments.groups import Comparison
from toolkit.experiments.tables import Calibrations, headline, sections
from toolkit.files import atomic_write_bytes
from toolkit.reports.section import Cell


def write_report(comparison: Comparison, calibration: Calibrations, target: Path) -> tuple[Path, Path]:
    """Write TARGET.html and TARGET.md (an ending .html or .md of `target` is dropped); returns both paths."""
    stem = target.with_suffix("") if target.suffix in (".html", ".md") else target
    paths = stem.with_name(f"{stem.name}.html"), stem.with_name(f"{stem.name}.md")
    for path in paths:
        atomic_write_bytes(path, render(comparison, calibration, path.suffix[1:]).encode())
    return paths


def render(comparison: Comparison, calibration: Calibrations, kind: str) -> str:
    """The report as text; `kind` is html or md."""
    environment = Environment(
        loader=PackageLoader("toolkit"), autoescape=kind == "html", undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["data_uri"] = _data_uri
    environment.filters["cell"] = _markdown_cell
    first = comparison.runs[0]
    return environment.get_template(f"compare.{kind}.jinja").render(
        stage=first.stage,
        classes=first.classes,
        runs=comparison.runs,
        groups=comparison.groups,
        data=first.description["data"],
        data_name=Path(first.description["data"]["path"]).name,
        blocks=first.description["blocks"],
        headline=headline(comparison),
        notes=comparison.notes,
        sections=sections(comparison, calibration),
        pictures=draw_comparison(comparison, calibration) if kind == "html" else {},
    )


def _data_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _markdown_cell(cell: Cell) -> str:
    text = cell.text.replace("|", "\\|")
    return f"**{text}**" if cell.tone in ("good", "bad", "strong") and text else text
