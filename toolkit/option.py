"""Options of a config dataclass: each field says its default, its help and its group once. Light: imports nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Option:
    """What a command says of a field: its help, the group it stands in, and the values it may have (empty: any)."""

    help: str
    group: str
    choices: tuple[Any, ...] = ()


def option(default: Any, help: str, group: str, choices: Sequence[Any] = ()) -> Any:
    """Field of a config dataclass that is an option of a command (`toolkit.cli.options.config_options`)."""
    return field(default=default, metadata={"option": Option(help, group, tuple(choices))})
