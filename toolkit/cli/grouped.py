"""Help of a command with many options: in groups, a short name for each value, a switch on one line."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

_VALUES = {"INTEGER": "N", "FLOAT": "X", "PATH": "PATH", "TEXT": "TEXT"}
F = TypeVar("F", bound=Callable[..., Any])
_COLUMN = 25
"""Widest name of an option beside which its help begins; that of a wider one begins on the next line."""


class GroupedOption(click.Option):
    """An option that stands in a group of its command's help."""

    def __init__(self, *names: Any, group: str = "Options", **more: Any) -> None:
        super().__init__(*names, **more)
        self.group = group

    def make_metavar(self, ctx: click.Context) -> str:
        found = super().make_metavar(ctx)
        return _VALUES.get(found, found)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        if record and self.secondary_opts == [self.opts[0].replace("--", "--no-")]:
            said = f"{self.help}  [default: {'on' if self.default else 'off'}]"
            return self.opts[0].replace("--", "--[no-]"), said
        return record


def grouped_option(*names: str, group: str = "Options", **more: Any) -> Callable[[F], F]:
    """Decorator that adds an option which stands in a group of its command's help."""
    return click.option(*names, cls=GroupedOption, group=group, **more)


class GroupedCommand(click.Command):
    """A command whose help lists its options in their groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                groups.setdefault(getattr(parameter, "group", "Options"), []).append(record)
        for name, rows in groups.items():
            with formatter.section(name):
                formatter.write_dl(rows, col_max=_COLUMN)
