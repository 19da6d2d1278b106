"""What a report is made of: sections of text and a table, free of any format."""

from dataclasses import dataclass, field
from typing import NamedTuple


class Cell(NamedTuple):
    """A table's cell; `tone` is good, bad, strong, quiet or nothing; `swatch` the group's colour."""

    text: str
    tone: str = ""
    swatch: str = ""


@dataclass(frozen=True)
class Section:
    """A heading, a sentence or more, and a table whose first column is text; the last two may be empty."""

    title: str
    text: str = ""
    columns: tuple[str, ...] = ()
    rows: list[list[Cell]] = field(default_factory=list)
