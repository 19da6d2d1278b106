"""Command-line options of encodes that several commands share."""

from collections.abc import Callable

import click

from export.graph.profiles import PROVIDERS
from integration.codec.config import CODING
from toolkit.cli.grouped import grouped_option
from toolkit.cli.options import Command

provider_option = grouped_option(
    "--provider",
    type=click.Choice(PROVIDERS),
    group="Masks and pruners",
    help="What runs a pipeline's models, which must be proven on it.  [default: the one it was built for]",
)


def four_way_option(default: str) -> Callable[[Command], Command]:
    """Option --four-way, None where it is not given; `default` says what that means for the command."""
    said = f"Search HORZ_4 and VERT_4.  [default: {default}]"
    return grouped_option("--four-way/--no-4way", default=None, group=CODING, help=said)
