"""Options of commands: those of a config dataclass, and values that are lists with commas, or factors."""

from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from fractions import Fraction
from typing import Any, get_args, get_type_hints

import click

from toolkit.cli.grouped import GroupedOption
from toolkit.option import Option

Command = Callable[..., Any]


def adding(options: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    """Decorator that adds options in their order, as one decorator each would."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def config_options(config: type, leaving_out: Sequence[str] = ()) -> Callable[[Command], Command]:
    """Decorator that adds the options which the fields of a config dataclass declare (`toolkit.option.option`)."""
    hints = get_type_hints(config)
    declared = [own for own in fields(config) if "option" in own.metadata and own.name not in leaving_out]

    def add(command: Command) -> Command:
        for own in reversed(declared):
            command = _option(own, hints[own.name])(command)
        return command

    return add


def _option(own: Field[Any], hint: Any) -> Callable[[Command], Command]:
    """Option of a field whose type is int, float, str or bool, or one of these or None."""
    said: Option = own.metadata["option"]
    kind = next(part for part in (*get_args(hint), hint) if part is not type(None))
    word, more = own.name.replace("_", "-"), dict[str, Any](type=kind)
    if kind is bool:
        word, more = f"{word}/--no-{word}", {}
    elif said.choices:
        default = None if own.default is None else str(own.default)
        more = {"type": click.Choice([str(value) for value in said.choices]), "default": default}
        more["callback"] = lambda context, parameter, value: None if value is None else kind(value)
    return click.option(
        f"--{word}", own.name, cls=GroupedOption, group=said.group, help=said.help, **{
            "default": own.default, "show_default": own.default is not None, **more,
        }
    )  # fmt: skip


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
