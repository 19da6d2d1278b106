"""Parse option values: lists with commas, and factors."""

from fractions import Fraction

import click


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
