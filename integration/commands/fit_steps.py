"""What `av1part fit` prints of the steps to a pipeline of masks."""

import shlex
from collections.abc import Sequence
from contextlib import AbstractContextManager

import click

from integration.tuning.masks import Steps
from toolkit.cli.progress import EpochLog, shown


class _Printed(Steps):
    """Every single command as one could give it, what came of it, bars and epochs; all on stderr."""

    def command(self, *words: object) -> None:
        first, *rest = map(str, words)
        click.secho(f"\n$ av1part {first} {shlex.join(rest)}", bold=True, err=True)

    def line(self, text: str) -> None:
        click.echo(text, err=True)

    def work(self) -> AbstractContextManager[None]:
        return shown()

    def epochs(self, classes: Sequence[str]) -> AbstractContextManager[EpochLog]:
        return EpochLog(classes)


def printed_steps() -> Steps:
    """Steps that are printed for a person."""
    return _Printed()
