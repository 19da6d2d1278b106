"""Command-line options of encodes that several commands share."""

from collections.abc import Callable

import click

from export.graph.profiles import PROVIDERS
from integration.bench.config import InputConfig
from integration.media.config import Size
from toolkit.cli.options import Command, adding, commas, numbers

provider_option = click.option(
    "--provider",
    type=click.Choice(PROVIDERS),
    help="What runs a pipeline's models, which must be proven on it.  [default: the one it was built for]",
)


def encode_options(default: InputConfig) -> Callable[[Command], Command]:
    """Decorator that adds the options of `InputConfig` but --keyint and --lag: how clips are read and coded."""
    usages = click.Choice(["good", "allintra"])
    found = (
        click.option(
            "--cq", default=commas(default.cq), show_default=True, callback=numbers, help="Constant-quality levels."
        ),
        click.option(
            "--repeats", type=click.IntRange(1), default=default.repeats, show_default=True, help="Runs of each encode."
        ),
        click.option(
            "--usage",
            default=default.usage,
            show_default=True,
            type=usages,
            help="libaom's usage; AVIF encoders code in allintra.",
        ),
        click.option("--frames", type=click.IntRange(1), help="Only the first N frames of each clip."),
        size_option(default.size),
        click.option("--raw", help="Layout of .yuv files, WxH[:bitdepth], or a TSV of names and layouts."),
        click.option(
            "--four-way/--no-4way", default=None, help="Search HORZ_4 and VERT_4.  [default: as the models were made]"
        ),
        click.option("--allow-truncated", is_flag=True, help="Take clips that are cut short as far as they go."),
        click.option("--any-settings", is_flag=True, help="Accept a pipeline made for another usage or libaom."),
    )

    return adding(found)


def size_option(default: Size | None) -> Callable[[Command], Command]:
    """Option --size, `WxH` or `source`, as the size that a config takes."""
    shown = "source" if default is None else "{}x{}".format(*default)
    return click.option(
        "--size", default=shown, show_default=True, callback=_size, help="Shrink to fit WxH; `source` keeps the size."
    )


def _size(context: click.Context, parameter: click.Parameter, value: str) -> Size | None:
    from integration.media.raw import parse_size

    return None if value == "source" else parse_size(value)


def keyint_options(keyint: int | str, lag: int | str, says: str) -> Callable[[Command], Command]:
    """Decorator that adds --keyint, whose help `says` what it means for the command, and --lag, with these defaults.

    A default that is text describes what the command chooses for the option's None.
    """
    values = [(None if isinstance(default, str) else default, default) for default in (keyint, lag)]
    return adding(
        (
            click.option(
                "--keyint", default=values[0][0], show_default=values[0][1], type=click.IntRange(0, 9999), help=says
            ),
            click.option(
                "--lag",
                default=values[1][0],
                show_default=values[1][1],
                type=click.IntRange(0, 48),
                help="Number of frames that libaom looks ahead; needs a keyint above 1.",
            ),
        )
    )
