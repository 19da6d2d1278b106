"""The error for everything that the user can put right."""

import click


class ToolkitError(click.ClickException):
    """Bad input or a failed gate: the message says what was found, what was expected and how to fix it.

    The command line prints it without a traceback and exits with 1.
    """

    exit_code = 1
