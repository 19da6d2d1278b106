"""Style of every table on stdout."""

from rich import box
from rich.table import Table


def text_table(title: str, *columns: str) -> Table:
    """Empty table whose first column is text and whose other columns are numbers or short words."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    return table
