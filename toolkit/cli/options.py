"""Options that take several values with commas between them, as click callbacks."""

import click


def numbers(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """Whole numbers; a usage error on anything else."""
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r}: expected whole numbers with commas, as in 20,32,43,55.") from None


def shares(context: click.Context, parameter: click.Parameter, value: str) -> tuple[float, ...]:
    """Numbers; a usage error on anything else."""
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r}: expected numbers with commas, as in 0.25,0.5.") from None


def words(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Words; none where the text is empty."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def commas(values: tuple[object, ...]) -> str:
    """A default as it is typed."""
    return ",".join(map(str, values))
