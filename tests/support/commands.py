"""The command line as a test calls it."""

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from click.testing import CliRunner, Result

from toolkit.cli.main import main

APART = """
import json, sys, traceback
from click.testing import CliRunner
from toolkit.cli.main import main
ended = []
for words in json.loads(sys.argv[1]):
    run = CliRunner().invoke(main, words)
    crash = run.exception if not isinstance(run.exception, SystemExit) else None
    ended.append((run.exit_code, run.stdout, run.stderr + "".join(traceback.format_exception(crash) if crash else ())))
print(json.dumps(ended))
"""


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def cli(*words: object, password: str | None = None) -> Result:
    """Run `av1part` with these words."""
    return CliRunner().invoke(main, [str(w) for w in words], input=password)


def done(*words: object) -> Result:
    """`cli`, and it succeeded."""
    result = cli(*words)
    assert result.exit_code == 0, result.output
    return result


def apart(
    commands: Iterable[Sequence[object]], *, prepare: str = "", prefix: Sequence[str] = ()
) -> Iterable[tuple[Sequence[object], Ended]]:
    """Run commands one after the other in one fresh interpreter, which imports everything once: each, and how it ended.

    `prepare` is Python code that runs before anything is imported, `prefix` the words before the interpreter's own.
    """
    commands = list(commands)
    words = json.dumps([[str(word) for word in command] for command in commands])
    run = subprocess.run([*prefix, sys.executable, "-c", prepare + APART, words], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return zip(commands, (Ended(*ended) for ended in json.loads(run.stdout)), strict=True)


def message(run: Result) -> str:
    """What a run that failed as it should said on stderr, in one line."""
    assert run.exit_code == 1, run.output
    assert isinstance(run.exception, SystemExit), run.exception
    return " ".join(run.stderr.split())


def fails(run: Result, *parts: str) -> None:
    """It failed as it should, and said all of these."""
    said = message(run)
    for part in parts:
        assert part in said, said
