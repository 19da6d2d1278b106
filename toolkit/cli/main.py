"""Console script `av1part`: the commands of the three packages, each imported only when it is used."""

import difflib
import importlib
import io
import os
import sys
from typing import Any

import click

from toolkit.errors import ToolkitError, plain_system_errors
from toolkit.extras import advice
from toolkit.processes import obey_parent, terminable

# By default, PyTorch's OpenMP threads spin while they wait for each other. On shared cores, that made training 1.4 to 3
# times slower than with sleeping threads (docs/benchmarks-speed.md). The variable is read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

PACKAGES = ("toolkit", "export", "integration")
"""Packages with a table PACKAGE.commands.COMMANDS. They are imported by name, so that no import runs upwards."""

SUBJECTS = {
    "encode": ("Encoding and measuring", ("encode", "run", "env", "encoder", "zoo", "bench", "demo")),
    "data": ("Data", ("label", "record", "data")),
    "learn": (
        "Learning",
        ("train", "recipes", "sweep", "select", "compare", "evaluate", "ensemble", "import-checkpoint"),
    ),
    "prove": ("Exports and proofs", ("export", "parity", "parity-foreign", "bundle", "quantize", "doctor")),
    "tune": ("Pipelines and pruners", ("fit", "pruner", "pipeline", "policy")),
}
"""Title and commands of each section of `av1part --help`, which is a page of the reference too, by the page's name."""


def commands() -> dict[str, tuple[str, str]]:
    """Module and line of --help of every command, by its name."""
    found: dict[str, tuple[str, str]] = {}
    for package in PACKAGES:
        found |= importlib.import_module(f"{package}.commands").COMMANDS
    return found


def kept() -> dict[str, str]:
    """Sentences on what an interrupted command keeps and how to go on, by its name; of those that keep something."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        found |= getattr(importlib.import_module(f"{package}.commands"), "KEPT", {})
    return found


class LazyGroup(click.Group):
    """Command group that imports a command's module only when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in commands():
            return None
        module, _ = commands()[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), cmd_name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0].startswith("-") or self.get_command(ctx, args[0]):
            return super().resolve_command(ctx, args)
        near = difflib.get_close_matches(args[0], self.list_commands(ctx))
        meant = f" Did you mean {' or '.join(near)}?" if near else " See `av1part --help`."
        raise click.UsageError(f"No such command {args[0]!r}.{meant}", ctx)

    def invoke(self, ctx: click.Context) -> Any:
        obey_parent()
        if isinstance(sys.stdout, io.TextIOWrapper):  # paths are printed with the bytes that they have
            sys.stdout.reconfigure(errors="surrogateescape")
        with terminable(), plain_system_errors():
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt:
                lasts = kept().get(
                    ctx.invoked_subcommand or "", "Nothing was left half-written. Give the command again."
                )
                raise ToolkitError(f"interrupted. {lasts}") from None
            except ModuleNotFoundError as error:
                if not (text := advice(error)):
                    raise
                raise ToolkitError(text) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # From the tables, so that --help imports no command's module.
        lines = {name: text for name, (_, text) in commands().items()}
        for title, names in SUBJECTS.values():
            with formatter.section(title):
                formatter.write_dl([(name, lines[name]) for name in names])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="av1part", prog_name="av1part")
def main() -> None:
    """Encode AV1 faster with trained pruners, or with models of your own.

    Train a block-partition classifier, prove its ONNX export, and put it inside a real encoder.
    """


if __name__ == "__main__":
    main()
