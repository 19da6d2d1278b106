"""Options of commands: those of a config dataclass, and values that are lists with commas, or factors."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from fractions import Fraction
from types import UnionType
from typing import Any, get_args, get_type_hints

import click

from toolkit.cli.grouped import grouped_option
from toolkit.option import Option

Command = Callable[..., Any]


def adding(options: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    """Decorator that adds options in their order, as one decorator each would."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def scheduler_option(group: str) -> Callable[[Command], Command]:
    """Decorator that adds --scheduler, the address of a Dask cluster whose workers do the work."""
    return grouped_option(
        "--scheduler",
        metavar="ADDRESS",
        envvar="DASK_SCHEDULER_ADDRESS",
        show_envvar=True,
        group=group,
        help="Dask scheduler, as tcp://HOST:8786, on whose workers the work is done.",
    )


def numbers(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """Whole numbers from a list with commas. Raises a usage error on anything else."""
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r}: expected whole numbers with commas, as in 20,32,43,55.") from None


def prices(context: click.Context, parameter: click.Parameter, value: str) -> tuple[float, ...]:
    """Numbers above 0 from a list with commas, which may be empty. Raises a usage error on anything else."""
    try:
        found = tuple(float(part) for part in value.split(",") if part.strip())
    except ValueError:
        found = (0.0,)
    if not all(0 < price < float("inf") for price in found):
        raise click.BadParameter(f"{value!r}: expected numbers above 0 with commas, as in 0.02,0.05.")
    return found


def words(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Words from a list with commas; empty ones are left out."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def commas(values: tuple[object, ...]) -> str:
    """Text of a list as a user would type it."""
    return ",".join(map(str, values))


def factor(context: click.Context, parameter: click.Parameter, value: str) -> float:
    """Factor on raw code values from a product of numbers and fractions. Raises a usage error on anything else."""
    try:
        factors = [Fraction(part) for part in value.split("*")]
    except (ValueError, ZeroDivisionError):
        raise click.BadParameter(f"{value!r}: expected a number or fractions, as in 1/1023 or 1/1023*1/1023.") from None
    product = Fraction(1)
    for factor in factors:
        product *= factor
    return float(product)


_LISTS: dict[Any, Callable[..., Any]] = {tuple[int, ...]: numbers, tuple[float, ...]: prices, tuple[str, ...]: words}


def config_options(
    config: type, *, but: Sequence[str] = (), only: Sequence[str] | None = None
) -> Callable[[Command], Command]:
    """Decorator that adds the options which the fields of a config dataclass declare (`toolkit.option.option`).

    Leaves those out that `but` names, or all others than `only` names.
    """
    hints = get_type_hints(config)
    return adding(
        [
            _option(own.name, own.default, said, hints[own.name])
            for own in fields(config)
            if own.name not in but and (only is None or own.name in only) and (said := _declared(config, own.name))
        ]
    )


def _declared(config: type, name: str) -> Option | None:
    """What a dataclass, or the nearest of its bases that says something, says of a field."""
    own = [vars(base).get("__dataclass_fields__", {}).get(name) for base in config.__mro__]
    return next((field.metadata["option"] for field in own if field and "option" in field.metadata), None)


def _option(name: str, default: Any, said: Option, hint: Any) -> Callable[[Command], Command]:
    """Option of a field whose type is int, float, str or bool, a list of these, or one of these or None."""
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kind = next(part for part in kinds if part is not type(None))
    word, more = f"--{name.replace('_', '-')}", dict[str, Any](type=kind)
    if kind is bool:
        word, more = f"{word}/--no-{word[2:]}", {"is_flag": True}
    elif parse := said.parse:
        default = (said.text or str)(default)
        more = {"callback": lambda context, parameter, value: parse(value)}
    elif kind in _LISTS:
        default, more = commas(default), {"callback": _LISTS[kind]}
    elif said.choices:
        default = None if default is None else str(default)
        more = {"type": click.Choice([str(value) for value in said.choices])}
        more["callback"] = lambda context, parameter, value: None if value is None else kind(value)
    elif (said.least, said.most) != (None, None):
        bounds = said.least, said.most
        more = {"type": click.FloatRange(*bounds, min_open=True) if kind is float else click.IntRange(*bounds)}
    names = said.flags or word
    more |= {"default": default, "show_default": "/" in names if kind is bool else default not in (None, "")}
    return grouped_option(names, name, group=said.group, help=said.help, **more)
