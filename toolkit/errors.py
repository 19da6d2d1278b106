"""The one error that a user can mend."""

import click


class ToolkitError(click.ClickException):
    """Bad input or a failed gate: the message says what was found, what was expected and how to fix it.

    The command line prints it without a traceback and exits with 1.
    """

    exit_code = 1
