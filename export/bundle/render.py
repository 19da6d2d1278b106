"""A parity report to read: Markdown, and one HTML file that needs nothing beside it. Both are made from parity.json."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render_markdown(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    return _render(report, "parity.md.jinja", html=False)


def render_html(report: dict[str, Any]) -> str:
    """The report as HTML, with each profile's ten worst blocks as pictures. Jinja2 escapes every text."""
    return _render(report, "parity.html.jinja", html=True)


def _render(report: dict[str, Any], template: str, *, html: bool) -> str:
    environment = Environment(
        loader=PackageLoader("export"), autoescape=html, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["g"] = lambda value: value if isinstance(value, str) else f"{value:.3g}"
    environment.filters["pairs"] = lambda values: ", ".join(f"{k} {v}" for k, v in sorted(values.items()))
    environment.filters["repeats"] = _repeats
    environment.filters["by_size"] = lambda batches: sorted(batches.items(), key=lambda item: int(item[0]))
    return environment.get_template(template).render(report=report)


def _repeats(values: dict[str, dict[str, Any]]) -> str:
    """Whether outputs repeat: "to the bit", or by how much they differ."""
    text = {n: "to the bit" if r["equal"] else f"largest difference {r['largest']}" for n, r in sorted(values.items())}
    return ", ".join(f"{n}: {t}" for n, t in text.items()) or "not measured"
