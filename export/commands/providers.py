"""Options that name an execution provider."""

from typing import Any

import click

from export.graph.profiles import OTHERS, PROVIDERS


class _Provider(click.Choice[str]):
    """One of our names, or a name of ONNX Runtime's own."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if OTHERS.fullmatch(str(value)) else super().convert(value, param, ctx)


PROVIDER = _Provider(PROVIDERS)
"""Type of an option that takes the name of a provider."""


def pairs(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """KEY=VALUE words as a dict."""
    wrong = next((value for value in values if "=" not in value), None)
    if wrong is not None:
        raise click.BadParameter(f"{wrong!r}: expected KEY=VALUE.")
    return dict(value.split("=", 1) for value in values)
