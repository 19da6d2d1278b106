"""Click callbacks for option values: lists with commas between them, and factors."""

from fractions import Fraction

import click


def numbers(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """Whole numbers; a usage error on anything else."""
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r}: expected whole numbers with commas, as in 20,32,43,55.") from None


def words(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Words; none where the text is empty."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def commas(values: tuple[object, ...]) -> str:
    """A default as it is typed."""
    return ",".join(map(str, values))


def factor(context: click.Context, parameter: click.Parameter, value: str) -> float:
    """A factor on raw code values, given as a product of numbers and fractions; a usage error on anything else."""
    try:
        factors = [Fraction(part) for part in value.split("*")]
    except (ValueError, ZeroDivisionError):
        raise click.BadParameter(f"{value!r}: expected a number or fractions, as in 1/1023 or 1/1023*1/1023.") from None
    product = Fraction(1)
    for factor in factors:
        product *= factor
    return float(product)
