"""Content of a report, independent of its format: sections of text and a table."""

from dataclasses import dataclass, field
from typing import NamedTuple


class Cell(NamedTuple):
    """Cell of a table. `tone`: good, bad, strong, quiet or empty. `swatch`: colour of the group, or empty."""

    text: str
    tone: str = ""
    swatch: str = ""


@dataclass(frozen=True)
class Section:
    """A heading, some text, and a table whose first column is text. Text and table may be empty."""

    title: str
    text: str = ""
    columns: tuple[str, ...] = ()
    rows: list[list[Cell]] = field(default_factory=list)
