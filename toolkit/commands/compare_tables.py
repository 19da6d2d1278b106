"""Tables of `compare`: those of its report, on stdout."""

from rich.console import Console
from rich.markup import escape

from toolkit.cli.tables import print_table, text_table
from toolkit.escaping import visible
from toolkit.experiments.compare import Comparison
from toolkit.experiments.tables import GLOSSARY, Reliabilities, headline, sections
from toolkit.reports.section import Cell

_STYLES = {"good": "green", "bad": "bold red", "strong": "bold", "quiet": "dim", "": ""}


def print_comparison(comparison: Comparison, reliability: Reliabilities) -> None:
    """Print every table of the report except the glossary."""
    console = Console(soft_wrap=True, highlight=False)
    for section in sections(comparison, reliability):
        if section.rows and section.title != GLOSSARY:
            table = text_table(section.title, *section.columns)
            for row in section.rows:
                table.add_row(*map(_shown, row))
            print_table(console, table)
    for note in comparison.notes:
        console.print(f"Note: {visible(note)}", style="bold yellow", markup=False)
    console.print(visible(headline(comparison)), style="bold", markup=False)


def _shown(cell: Cell) -> str:
    text, style = escape(visible(cell.text)), _STYLES[cell.tone]
    return f"[{style}]{text}[/]" if style else text
