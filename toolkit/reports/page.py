"""Fill a page's template: the one place that sets Jinja2 and the style up, for every report of every package."""

import base64
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
from markupsafe import Markup

from toolkit.escaping import markdown, visible

HERE = Path(__file__).parent
STYLESHEET = HERE / "page.css"
"""Style of every HTML report: light and dark screens, phones, paper."""

Filters = Mapping[str, Callable[[Any], Any]]


def render(package: str, template: str, filters: Filters | None = None, **values: Any) -> str:
    """Text of PACKAGE/templates/TEMPLATE with these values filled in.

    Every value is escaped, since names of runs and data sets are other people's text: in *.html.jinja for HTML, in
    *.md.jinja for Markdown, unless it is Markup. `filters` and the filter `data_uri` are there for the template; an
    HTML one extends page.html.jinja, which holds the stylesheet, and takes tables and figures from parts.html.jinja.
    Raises jinja2.UndefinedError on a value that the template uses and nobody gave.
    """
    html = template.endswith(".html.jinja")
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), FileSystemLoader(HERE)]),
        autoescape=html, undefined=StrictUndefined, finalize=partial(_shown, visible if html else markdown),
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.globals["stylesheet"] = Markup(STYLESHEET.read_text(encoding="utf-8"))
    environment.filters |= {"data_uri": data_uri, **(filters or {})}
    return environment.get_template(template).render(values)


def _shown(escape: Callable[[str], str], value: Any) -> Any:
    """A value as a template shows it: text is escaped, and what is no text, or is Markup, stays."""
    return escape(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def data_uri(picture: str | bytes, kind: str = "svg+xml") -> str:
    """Picture as an address that holds it whole, so that a page needs no file beside it; `kind` as in image/KIND."""
    data = picture.encode() if isinstance(picture, str) else picture
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
