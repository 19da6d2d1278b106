"""Pages of reports: other people's text is escaped, and nothing is silently left empty."""

import base64
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from toolkit.escaping import is_treacherous, markdown
from toolkit.reports.page import data_uri, render


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an importable package with a template of each kind."""
    templates = tmp_path / "pages_of_a_test" / "templates"
    templates.mkdir(parents=True)
    (templates.parent / "__init__.py").touch()
    for kind in ("html", "md"):
        (templates / f"page.{kind}.jinja").write_text(
            "{{ text|shout }}\n{% if picture %}\n{{ picture|data_uri }}\n{% endif %}\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    return templates.parent.name


@pytest.mark.parametrize(("kind", "expected"), [("html", "&lt;B&gt;\n"), ("md", "\\<B>\n")])
def test_text_is_escaped_for_its_format(package: str, kind: str, expected: str) -> None:
    assert render(package, f"page.{kind}.jinja", {"shout": str.upper}, text="<b>", picture="") == expected


@pytest.mark.parametrize("kind", ["html", "md"])
def test_marks_that_turn_the_text_around_them_are_written_out(package: str, kind: str) -> None:
    shown = render(package, f"page.{kind}.jinja", {"shout": str}, text="run\u202egnp.\u2066\x1b[31m", picture="")
    assert not any(is_treacherous(c) for c in shown if c != "\n")
    assert "u202e" in shown


def test_markdown_shows_just_the_text() -> None:
    assert markdown("a|b\n`c` <i>[x](y)*_~&") == r"a\|b \`c\` \<i>\[x\](y)\*\_\~\&"


def test_a_forgotten_value_is_an_error(package: str) -> None:
    with pytest.raises(UndefinedError, match="'picture' is undefined"):
        render(package, "page.md.jinja", {"shout": str.upper}, text="a")


def test_a_picture_travels_in_the_page(package: str) -> None:
    page = render(package, "page.html.jinja", {"shout": str.upper}, text="a", picture="<svg/>")
    assert page == f"A\n{data_uri('<svg/>')}\n"
    head, data = data_uri(b"\x89PNG", "png").split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == b"\x89PNG"
