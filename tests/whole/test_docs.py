"""The pages: every link leads somewhere, and no page is too long to be read."""

import re
from pathlib import Path

import pytest
from support.places import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "toolkit" / "sample").glob("*.md")])
LONGEST = 400
"""Lines of a page. The changelog is not read from end to end."""


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{link}: no such file"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_no_page_is_too_long(page: Path) -> None:
    assert page.name == "CHANGELOG.md" or len(page.read_text().splitlines()) <= LONGEST


def test_anchors_are_those_of_the_headings(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Do libaom's 32x32 nodes add?\n\n```\n# no heading\n```\n\n## `ToolkitError`, and more\n")
    assert anchors(page) == {"do-libaoms-32x32-nodes-add", "toolkiterror-and-more"}
