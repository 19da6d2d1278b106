"""Options of a config dataclass: each field says its default, its help and its group once. Light: imports nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Options = dict[str, Any]
"""Options by name, as a command takes them and a config is made of them."""


@dataclass(frozen=True)
class Option:
    """What a command says of a field: its help, the group it stands in, and the values it may have (empty: any).

    `least` and `most` bound a number; a float lies above `least`. `flags`: its names on the command line where they
    are not the field's own. `parse` reads its text, and `text` is its default as one types it; None for what the
    field's type says.
    """

    help: str
    group: str
    choices: tuple[Any, ...] = ()
    least: int | None = None
    most: int | None = None
    flags: str | None = None
    parse: Callable[[str], Any] | None = None
    text: Callable[[Any], str] | None = None


def option(default: Any, help: str, group: str = "Options", choices: Sequence[Any] = (), **more: Any) -> Any:
    """Field of a config dataclass that is an option of a command (`toolkit.cli.options.config_options`).

    `more` is of Option. A subclass that gives the field another default keeps the rest.
    """
    return field(default=default, metadata={"option": Option(help, group, tuple(choices), **more)})


def same_option(config: type, name: str) -> Any:
    """Field that is the same option as that of another config dataclass, with its default."""
    own = config.__dataclass_fields__[name]  # type: ignore[attr-defined]
    return field(default=own.default, metadata=own.metadata)
