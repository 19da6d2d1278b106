"""Tables of `compare`: those of its report, on stdout."""

from rich.console import Console
from rich.markup import escape

from toolkit.cli.tables import text_table
from toolkit.experiments.compare import Comparison
from toolkit.experiments.tables import GLOSSARY, Reliabilities, headline, sections

WIDTH = 150
"""Width of the widest table in characters; a narrower terminal folds its lines."""
_STYLES = {"good": "green", "bad": "bold red", "strong": "bold", "quiet": "dim", "": ""}


def print_comparison(comparison: Comparison, reliability: Reliabilities) -> None:
    """Print every table of the report except the glossary."""
    console = Console(highlight=False)
    console.width = max(console.width, WIDTH)
    for section in sections(comparison, reliability):
        if section.rows and section.title != GLOSSARY:
            table = text_table(section.title, *section.columns)
            for row in section.rows:
                table.add_row(*(f"[{s}]{escape(c.text)}[/]" if (s := _STYLES[c.tone]) else escape(c.text) for c in row))
            console.print(table)
    for note in comparison.notes:
        console.print(f"Note: {note}", style="bold yellow", markup=False)
    console.print(headline(comparison), style="bold", markup=False)
