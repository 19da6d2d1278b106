"""Options that take several values with commas between them, as click callbacks; options that commands share."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from integration.bench_config import InputConfig

Command = Callable[..., Any]


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


def encode_options(default: "InputConfig") -> Callable[[Command], Command]:
    """The options of `InputConfig`: how a command that measures reads and codes its clips."""
    usages = click.Choice(["good", "allintra"])
    found = (
        click.option(
            "--cq", default=commas(default.cq), show_default=True, callback=numbers, help="Of constant quality."
        ),
        click.option(
            "--repeats", type=click.IntRange(1), default=default.repeats, show_default=True, help="Of an encode."
        ),
        click.option("--usage", default=default.usage, show_default=True, type=usages),
        click.option("--frames", type=click.IntRange(1), help="Only the first N frames of each clip."),
        click.option("--size", help="Shrink to fit WxH."),
        click.option("--raw", help="Layout of .yuv files, WxH[:bitdepth]."),
        click.option("--any-settings", is_flag=True, help="Take a pipeline made for another usage or libaom."),
    )

    def add(command: Command) -> Command:
        for option in reversed(found):
            command = option(command)
        return command

    return add
