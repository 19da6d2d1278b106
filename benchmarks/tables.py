"""Write the tables of measured figures into the pages, from the results that stand in benchmarks/results/.

    python benchmarks/tables.py            # after a result was added or changed
    python benchmarks/tables.py --check    # exit code 1 where a page is out of date

A page has a place for the table of `benchmarks/results/NAME.json`; what stands between the two lines is replaced:

    <!-- table NAME -->
    <!-- end -->
"""

import re
from pathlib import Path

import click
import msgspec

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PLACE = re.compile(r"^(<!-- table ([\w.-]+) -->\n).*?^(?=<!-- end -->$)", re.MULTILINE | re.DOTALL)

Number = int | float
Cell = Number | list[Number] | str | None


class Column(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A column: its title, and how its numbers are written. A list of numbers fills several places of `format`."""

    title: str
    format: str | None = None
    right: bool = False


class Result(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What was measured: a table, and where its figures come from.

    `commands` printed them, on a machine of the class `machine`. `versions` are those that matter, by the name of the
    program. `date` (as in 2026-01-31) and `commit` are None where they were not kept. `bold` are the rows that the page
    speaks of, counted from 0. `gone` names what of the commands has been removed since: then the page need not show
    them.
    """

    title: str
    commands: list[str]
    machine: str
    versions: dict[str, str]
    date: str | None
    commit: str | None
    columns: list[Column]
    rows: list[list[Cell]]
    bold: list[int] = []
    gone: str = ""


def load(name: str) -> Result:
    """The result `benchmarks/results/NAME.json`; a click error where it is missing or is none."""
    file = RESULTS / f"{name}.json"
    try:
        result = msgspec.json.decode(file.read_bytes(), type=Result)
    except (OSError, msgspec.DecodeError) as error:
        raise click.ClickException(f"{file}: {error}. Expected a result as benchmarks/results.py writes it.") from None
    if wrong := [row for row in result.rows if len(row) != len(result.columns)]:
        raise click.ClickException(f"{file}: a row has {len(wrong[0])} cells, expected {len(result.columns)}.")
    return result


def written(cell: Cell, column: Column) -> str:
    """A cell as the page shows it: nothing for None, text as it is, numbers by the column's format."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    numbers = cell if isinstance(cell, list) else [cell]
    return (column.format or "{}").format(*numbers)


def table(result: Result) -> str:
    """The result as a table in Markdown; the first cell of a row of `bold` is bold."""
    lines = [_line([column.title for column in result.columns])]
    lines.append(f"|{'|'.join('---:' if column.right else '---' for column in result.columns)}|\n")
    for number, row in enumerate(result.rows):
        cells = [written(cell, column) for cell, column in zip(row, result.columns, strict=True)]
        if number in result.bold:
            cells[0] = f"**{cells[0]}**"
        lines.append(_line(cells))
    return "".join(lines)


def _line(cells: list[str]) -> str:
    """A line of a table in Markdown."""
    return f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in cells)}|\n"


def fill(text: str) -> str:
    """A page with every table made anew."""
    return PLACE.sub(lambda place: place[1] + table(load(place[2])), text)


def pages() -> list[Path]:
    """Every page that may have tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def unused() -> list[str]:
    """Names of results that no page shows."""
    shown = {name for page in pages() for name in re.findall(r"^<!-- table ([\w.-]+) -->$", page.read_text(), re.M)}
    return sorted({file.stem for file in RESULTS.glob("*.json")} - shown)


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where a page is out of date.")
def main(check: bool) -> None:
    """Write the tables into the pages."""
    stale = {page: text for page in pages() if (text := fill(page.read_text())) != page.read_text()}
    for page, text in stale.items():
        click.echo(f"{page.relative_to(ROOT)}: {'out of date' if check else 'written'}")
        if not check:
            page.write_text(text)
    if check and stale:
        raise click.ClickException("Run `python benchmarks/tables.py`.")


if __name__ == "__main__":
    main()
