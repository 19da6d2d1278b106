"""Help of a command with many options: in groups, a short name for each value, a switch on one line."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

_VALUES = {"INTEGER": "N", "FLOAT": "X", "PATH": "PATH", "TEXT": "TEXT"}
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
        if record and self.secondary_opts:
            said = f"{self.help}  [default: {'on' if self.default else 'off'}]"
            return self.opts[0].replace("--", "--[no-]"), said
        return record


class GroupedCommand(click.Command):
    """A command whose help lists its options in groups: that of a GroupedOption, or as `groups` names them."""

    def __init__(self, *words: Any, groups: Mapping[str, Sequence[str]] | None = None, **more: Any) -> None:
        super().__init__(*words, **more)
        self.group_of = {name: group for group, names in (groups or {}).items() for name in names}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                group = self.group_of.get(parameter.name or "", getattr(parameter, "group", "Options"))
                groups.setdefault(group, []).append(record)
        for name, rows in groups.items():
            with formatter.section(name):
                formatter.write_dl(rows, col_max=_COLUMN)
