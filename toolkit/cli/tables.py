"""Style of every table on stdout."""

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table


def text_table(title: str, *columns: str) -> Table:
    """Empty table whose first column is text and whose other columns are numbers or short words."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    return table


_UNBOUNDED = 10_000
"""Characters in a line that no table needs."""


def print_table(console: Console, table: Table) -> None:
    """Print a table, or, where the console is too narrow for it, a list for each of its rows: no number is broken."""
    wanted = Measurement.get(console, console.options.update(width=_UNBOUNDED), table).maximum
    if wanted <= console.width:
        console.print(table)
        return
    console.print(f"\n{table.title}", style="bold", markup=False)
    heads = [column.header for column in table.columns[1:]]
    for first, *cells in zip(*(column.cells for column in table.columns), strict=True):
        console.print(first)
        values = Table.grid(padding=(0, 2))
        for head, cell in zip(heads, cells, strict=True):
            values.add_row(head, cell)
        console.print(Padding(values, (0, 0, 0, 2)))
