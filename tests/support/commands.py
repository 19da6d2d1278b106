"""The command line as a test calls it."""

from click.testing import CliRunner, Result

from toolkit.cli.main import main


def cli(*words: object, password: str | None = None) -> Result:
    """Run `av1part` with these words."""
    return CliRunner().invoke(main, [str(w) for w in words], input=password)


def done(*words: object) -> Result:
    """`cli`, and it succeeded."""
    result = cli(*words)
    assert result.exit_code == 0, result.output
    return result


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
