"""Show progress on stderr: bars on a terminal, a line for each epoch, and the command that comes next."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from toolkit.progress import listen


class EpochLog:
    """Context in which `step` moves a bar (only on a terminal) and `epoch` prints the line of a finished epoch."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = classes
        self.console = Console(stderr=True, soft_wrap=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f}%"))
        self.bar = Progress(*columns, TimeRemainingColumn(), console=self.console, transient=True)
        self.task = self.bar.add_task("starting", total=None)

    def __enter__(self) -> "EpochLog":
        if sys.stderr.isatty():
            self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.bar.stop()

    def step(self, what: str, done: int, total: int) -> None:
        """Show the work at hand, `what`, and how much of it is done."""
        self.bar.update(self.task, description=what, completed=done, total=total)

    def epoch(self, entry: Mapping[str, Any]) -> None:
        """Print the line of a finished epoch."""
        per_class = "  ".join(f"{name} {entry['per_class'][name]['f1']:.3f}" for name in self.classes)
        regret = f"  regret {entry['regret']:.3f}%" if "regret" in entry else ""
        self.console.print(
            f"epoch {entry['epoch']:3d} {entry['phase']:8s} loss {entry['loss']:.4f}  val {entry['val_loss']:.4f}  "
            f"macro-F1 {entry['macro_f1']:.4f}  accuracy {entry['accuracy']:.4f}{regret}  F1: {per_class}"
        )


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """Yield a function that moves a bar: call it with the number done, the total, and what comes next."""
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total, now: progress.update(task, completed=done, total=total, description=now)


@contextmanager
def shown() -> Iterator[None]:
    """Context in which the reports of `toolkit.progress` move a bar with the time left; only on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("ETA"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            if done == 0:
                progress.reset(tasks[what], total=total)
            progress.update(tasks[what], completed=done, total=total, visible=done < total)

        with listen(report, elsewhere=shown):
            yield


def next_step(command: str) -> None:
    """Print the command that usually comes next, on stderr."""
    click.echo(f"Next: av1part {command}", err=True)


@contextmanager
def coding(unit: str = "fps") -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function that moves a bar of encoded frames, with rate and time left: call it with done and total.

    `unit` is that of the rate.
    """
    console = Console(stderr=True)
    columns = (TextColumn("encoding"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    times = (TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
    # A frame may take a minute: over rich's own period of 30 seconds there would be no rate to show.
    with Progress(
        *columns, *times, console=console, transient=True, disable=not console.is_terminal, speed_estimate_period=600
    ) as progress:
        task = progress.add_task("", total=None)

        def update(done: int, total: int | None) -> None:
            elapsed = progress.tasks[task].elapsed or 0.0
            rate = f"{done / elapsed:.2f} {unit}" if elapsed else ""
            progress.update(task, completed=done, total=total, description=rate)

        yield update
