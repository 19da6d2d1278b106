"""docs/architecture.md names folders, modules and tests that exist, and leaves no folder out."""

import re

from support.places import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text()
ROWS = [row for row in TEXT.splitlines() if row.startswith("| ")]


def paths() -> list[str]:
    """Every path in the document's tables, in backticks."""
    return [word for row in ROWS for word in re.findall(r"`([\w./*-]+/[\w./*-]*|\w+\.\w+)`", row)]


def test_every_path_in_the_tables_exists() -> None:
    named = paths()
    assert len(named) > 60
    assert [path for path in named if not list(ROOT.glob(path.rstrip("/")))] == []


def test_every_change_names_where_to_look_and_its_tests() -> None:
    table = TEXT.split("| You want to change | Look in | Its tests |\n")[1].split("\n\n")[0].splitlines()[1:]
    assert len(table) > 20
    for row in table:
        _, look, tests = row.strip("| ").split(" | ")
        assert "`" in look
        assert re.findall(r"`tests/[\w/]+/test_\w+\.py`", tests), row


def test_every_folder_of_the_packages_is_named() -> None:
    folders = {f"{p.parent.parent.name}/{p.parent.name}/" for name in ("toolkit", "export", "integration")
               for p in ROOT.glob(f"{name}/*/__init__.py")}  # fmt: skip
    assert folders <= set(paths())
