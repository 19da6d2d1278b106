"""Command-line options of `run` and `env`: what decides inside another encoder."""

from collections.abc import Callable
from pathlib import Path

import click

from toolkit.cli.options import Command, adding


def host_options() -> Callable[[Command], Command]:
    """Decorator that adds --pipeline and --price."""
    return adding(
        (
            click.option(
                "--pipeline", "pipelines", type=click.Path(path_type=Path), multiple=True,
                help="Pruner, a folder or a name of `av1part zoo`, or folder of a pipeline, whose networks then mask "
                "the search; repeatable, each encoder takes the first of each that was made for what it codes.  "
                "[default: all pruners in the box]",
            ),
            click.option(
                "--price", type=float, help="What the pruner may lose for the time that it saves.  [default: its own]"
            ),
        )
    )  # fmt: skip
