"""The reference of the commands, made from the commands; `python -m toolkit.cli.reference` writes its pages."""

import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from toolkit.cli.main import SUBJECTS, commands, main
from toolkit.files import atomic_write_bytes

COMMAND = "python -m toolkit.cli.reference"
FOLDER = Path("docs/reference")
"""Place of the pages, in the folder that holds the packages."""


def single(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that a command is or holds, with the words that call it."""
    if not isinstance(command, click.Group):
        yield words, command
        return
    if command.invoke_without_command:
        yield words, command
    context = click.Context(command)
    for name in command.list_commands(context):
        if found := command.get_command(context, name):
            yield from single(found, (*words, name))


def text_of(command: click.Command) -> str:
    """The help of a command, a line a paragraph; lines that click keeps apart stand as code."""
    parts = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b\n"):
            parts.append(textwrap.indent(textwrap.dedent(paragraph[2:]), " " * 4))
        else:
            parts.append(" ".join(paragraph.split()).replace("<", "\\<"))
    return "\n\n".join(parts)


def section(words: tuple[str, ...], command: click.Command) -> str:
    """A command's part of a page: how it is called, what it does, its options with their defaults."""
    context = click.Context(command, info_name=" ".join(words))
    usage = " ".join(("av1part", *words, *command.collect_usage_pieces(context)))
    options = [p for p in command.get_params(context) if isinstance(p, click.Option) and "--help" not in p.opts]
    records = [record for option in options if (record := option.get_help_record(context))]
    cells = [(name.replace("|", "\\|"), " ".join(said.split()).replace("|", "\\|")) for name, said in records]
    lines = ["| option | is |", "|---|---|", *(f"| `{name}` | {said} |" for name, said in cells)]
    table = "\n".join(lines) if cells else "It has no options."
    return f"## {' '.join(words)}\n\n    {usage}\n\n{text_of(command)}\n\n{table}\n"


def pages() -> dict[str, str]:
    """Text of every page by its file name: one for each subject, and one that lists all commands."""
    made = f"Made from the commands by `{COMMAND}`. `av1part COMMAND --help` says the same."
    context, texts, index = click.Context(main), {}, []
    for page, (title, names) in SUBJECTS.items():
        found = [pair for name in names if (top := main.get_command(context, name)) for pair in single(top, (name,))]
        parts = [section(words, command) for words, command in found]
        texts[f"cli-{page}.md"] = "\n".join([f"# {title}: the commands\n\n{made} [All commands](cli.md).\n", *parts])
        index.append(f"## {title}\n\n| command | does |\n|---|---|")
        index += [
            f"| [`{' '.join(words)}`](cli-{page}.md#{'-'.join(words)}) | {(command.help or '').splitlines()[0]} |"
            for words, command in found
        ]
        index[-1] += "\n"
    texts["cli.md"] = "\n".join(["# The commands\n", f"{made}\n", *index])
    return texts


def missing() -> set[str]:
    """Commands that no page has."""
    return set(commands()) - {name for _, names in SUBJECTS.values() for name in names}


if __name__ == "__main__":
    for name, text in pages().items():
        atomic_write_bytes(Path(__file__).parents[2] / FOLDER / name, text.encode())
