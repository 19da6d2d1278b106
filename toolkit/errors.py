"""The error for everything that the user can put right."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import click

from toolkit.escaping import visible

_ADVICE = {
    errno.EACCES: "permission denied. Let this user read it (a folder also needs the right to search it, and an output "
    "the right to write), or choose another path.",
    errno.EROFS: "on a read-only file system. Choose another path.",
    errno.ENOSPC: "the disk is full. Free some space and run it again.",
    errno.EDQUOT: "the disk quota is used up. Free some space and run it again.",
    errno.ENAMETOOLONG: "a name or path that is too long for the system. Choose a shorter one.",
    errno.ELOOP: "a link that leads to itself. Copy the file itself.",
    errno.ENOTDIR: "a file stands where a folder was expected. Choose another path.",
    errno.EISDIR: "a folder, expected a file. Choose another path.",
    errno.ENOENT: "no such file.",
}
_ADVICE[errno.EPERM] = _ADVICE[errno.EACCES]


class ToolkitError(click.ClickException):
    """Bad input or a failed gate: the message says what was found, what was expected and how to fix it.

    The command line prints it without a traceback and exits with 1.
    """

    exit_code = 1

    def format_message(self) -> str:
        """The message as it is printed."""
        return visible(self.message)


def first_line(error: BaseException, most: int = 300) -> str:
    """First line of an error's text, at most so many characters; the error's kind where the text is empty."""
    lines = str(error).strip().splitlines()
    return lines[0][:most] if lines else type(error).__name__


@contextmanager
def plain_system_errors() -> Iterator[None]:
    """Turn the system's refusal of a path, and of a name that is no Unicode, into a ToolkitError.

    The one place for refusals that no reader or writer has words for. A broken pipe passes: click ends quietly on it.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (None, errno.EPIPE):
            raise
        where = f"{shorten(error.filename)}: " if error.filename is not None else ""
        raise ToolkitError(f"{where}{_ADVICE.get(error.errno or 0, f'{error.strerror}.')}") from error
    except UnicodeEncodeError as error:
        if not 0xD800 <= ord(error.object[error.start]) < 0xE000:
            raise
        raise ToolkitError(f"{shorten(error.object)!a}: not valid as UTF-8. Rename the file or folder.") from error


def shorten(name: object) -> str:
    """Text of a path, its middle left out where a whole screen would be filled."""
    text = str(name)
    return text if len(text) <= 300 else f"{text[:140]}...{text[-140:]}"
