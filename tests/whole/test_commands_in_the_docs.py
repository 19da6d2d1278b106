"""The commands that the pages show exist, with all their options, as click's own parser sees them; none is run."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support.places import ROOT

from toolkit.cli import reference
from toolkit.cli.main import commands, main

MADE = ("CHANGELOG.md", *(f"cli{end}.md" for end in ("", *(f"-{name}" for name in reference.SUBJECTS))))
"""Pages that are left out: what was true once, and what is made from the commands."""
PAGES = [page for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]) if page.name not in MADE]
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
VALUES = (click.Choice, click.types.IntParamType, click.types.FloatParamType)
"""Types of options whose values are checked too. A value in capitals stands for another, and is not."""


def blocks(text: str) -> str:
    """The code blocks of a page, fenced or indented, with long lines joined."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^ {4}.*$", text, re.MULTILINE)
    return "\n".join([*fenced, *indented]).replace("\\\n", " ")


def shown(text: str) -> Iterator[list[str]]:
    """The words of every command of a page: those of code blocks, and those within the text that have an option."""
    for line in blocks(text).splitlines():
        for part in re.split(r"&&|;| \| |\$\(|\)", line):
            words = shlex.split(part, comments=True)
            starts = [i for i, word in enumerate(words) if re.fullmatch(r"(\S*/)?(av1part|make|python)", word)]
            if starts:
                yield words[starts[0] :]
    for code in re.findall(r"`([^`]+)`", re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE)):
        words = code.split()
        if words[-1].startswith("--"):  # an option that is named without its value
            words.append("...")
        if words[0] in ("av1part", "make", "python"):
            yield words
        elif words[0] in commands() and any(word.startswith("--") for word in words):
            yield ["av1part", *words]


def check(words: list[str], whole: bool = False) -> None:
    """Raise click's UsageError where a command, an option or a value is none; with `whole`, where one is missing."""
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        context = click.Context(command)
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
    context = click.Context(command)
    values, left, _ = command.make_parser(context).parse_args(words)
    if whole and left:
        raise click.UsageError(f"Got unexpected arguments: {left}")
    for option in command.params:
        for value in [values[option.name]] if isinstance(values.get(option.name), str) else []:
            if isinstance(option.type, VALUES) and not re.search(r"[A-Z]|\.\.\.", value):
                option.type.convert(value, option, context)
        if whole and option.required and not values.get(option.name) and "..." not in words:
            raise click.MissingParameter(ctx=context, param=option)


def problem(words: list[str], whole: bool) -> str | None:
    """What is wrong with a command of a page; None where nothing is."""
    program, *rest = words
    if program.endswith("make"):
        wrong = [word for word in rest if re.fullmatch(r"[a-z-]+", word) and word not in TARGETS]
        return f"no such target: {wrong}" if wrong else None
    if program.endswith("python"):
        if not rest or not rest[0].endswith(".py"):
            return None
        if not (ROOT / rest[0]).is_file():
            return f"no such script: {rest[0]}"
        text = (ROOT / rest[0]).read_text()
        wrong = [word for word in rest if word.startswith("--") and f'"{word}' not in text]
        return f"{rest[0]} has no {wrong}" if wrong else None
    try:
        check(rest, whole)
    except click.UsageError as error:
        return error.format_message()
    return None


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_the_commands_of_a_page_exist_with_their_options(page: Path) -> None:
    text = page.read_text()
    assert [(" ".join(words), wrong) for words in shown(text) if (wrong := problem(words, False))] == []


def test_the_readme_shows_whole_commands() -> None:
    found = list(shown(blocks((ROOT / "README.md").read_text()).replace("\n", "\n    ")))
    assert len(found) > 20
    assert [(" ".join(words), wrong) for words in found if (wrong := problem(words, True))] == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("av1part trian DATA", "No such command"),
        ("av1part train DATA -o RUN --epoch-count 3", "No such option"),
        ("av1part train DATA -o RUN --epochs many", "not a valid integer"),
        ("av1part train DATA -o RUN --stage 4", "not one of"),
        ("av1part train DATA", "Missing option"),
        ("av1part zoo show NAME NAME", "unexpected arguments"),
        ("av1part pipeline bild PIPE", "No such command"),
        ("make demoo", "no such target"),
        ("python benchmarks/none.py", "no such script"),
        ("python benchmarks/deciding.py --quick", "has no"),
    ],
)
def test_a_wrong_command_is_found(line: str, wrong: str) -> None:
    (words,) = shown(f"    {line}\n")
    assert wrong in (problem(words, True) or "")
