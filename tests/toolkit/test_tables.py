"""Tables on a terminal: whole where they fit, a list for each row where they do not; no number is broken."""

import io

import pytest
from rich.console import Console

from toolkit.cli.tables import print_table, text_table
from toolkit.errors import ToolkitError


@pytest.mark.parametrize(("width", "listed"), [(80, True), (300, False)])
def test_a_table_wider_than_the_terminal_is_a_list_for_each_row(width: int, listed: bool) -> None:
    console = Console(width=width, file=io.StringIO())
    table = text_table("Ranking", "run", *(f"measure {number}" for number in range(12)))
    numbers = [[f"{row}.{column:02d}47 ± 0.0031" for column in range(12)] for row in range(2)]
    for row, own in enumerate(numbers):
        table.add_row(f"run {row}", *own)
    print_table(console, table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(map(len, lines)) <= width
    assert all(number in text for own in numbers for number in own)
    assert "Ranking" in text
    assert ("run 0" in lines) == listed
    assert any("measure 3" in line and "0.0347 ± 0.0031" in line for line in lines) == listed


def test_an_error_cannot_turn_the_terminal_s_text_around() -> None:
    assert ToolkitError("a\u202eb\x1b[2Jc").format_message() == r"a\u202eb\x1b[2Jc"
