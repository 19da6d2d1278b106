"""Write files and folders whole or not at all, and seal JSON documents with a hash."""

import errno
import fcntl
import hashlib
import json
import logging
import math
import os
import re
import secrets
import shlex
import shutil
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from toolkit.errors import ToolkitError, plain_system_errors

_log = logging.getLogger("av1part")

MAX_JSON_BYTES = 64 * 1024 * 1024
_WHOLE = 1 << 63
_ASIDE = "-old"
"""Ends the hidden name, before the suffix, under which an output lies while another takes its place."""


def cache_folder() -> Path:
    """Folder of what av1part builds or installs once for a user: libaom with the hook, ONNX Runtime with WebGPU."""
    return Path(os.environ.get("AV1PART_CACHE") or user_cache_path("av1part"))


def open_file(path: Path) -> BufferedReader:
    """Open an ordinary file for reading bytes.

    Raises ToolkitError where there is a folder, pipe or device, which would be waited for or read for ever, and OSError
    where nothing can be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise ToolkitError(f"{path}: not readable (a folder, pipe or device), expected an ordinary file. Give one.")


def read_bytes(path: Path, limit: int = MAX_JSON_BYTES) -> bytes:
    """Content of a file of at most `limit` bytes; ToolkitError where it has more, else as of `open_file`."""
    with open_file(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ToolkitError(f"{path}: larger than {limit} bytes, so not one of ours. Make it again.")
    return data


def read_text(path: Path) -> str:
    """Content of a text in UTF-8, its byte order mark left out; UnicodeDecodeError, else errors as of `read_bytes`."""
    return read_bytes(path).decode("utf-8-sig")


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's content; errors as of `open_file`."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:
    """Encode a JSON value with sorted keys and without blanks, so that equal values have equal hashes.

    Raises ValueError on NaN or infinity, TypeError on a value that JSON cannot hold.
    """
    plain = json.loads(json.dumps(value, allow_nan=False))  # whole-number keys become strings before they are sorted
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def json_bytes(value: Any) -> bytes:
    """Encode a JSON value as every JSON file of ours is written: indented, keys sorted, in ASCII, one line end last.

    Equal values give equal bytes. Raises as `canonical_json`.
    """
    plain = json.loads(json.dumps(value, allow_nan=False))  # whole-number keys become strings before they are sorted
    return (json.dumps(plain, indent=1, sort_keys=True) + "\n").encode()


def seal(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with a key `sha256`: the hash of the canonical JSON of all its other keys."""
    body = {k: v for k, v in document.items() if k != "sha256"}
    return {**body, "sha256": hashlib.sha256(canonical_json(body)).hexdigest()}


def is_sealed(document: Mapping[str, Any]) -> bool:
    """Whether the document's `sha256` is the hash of its content."""
    try:
        return bool(document.get("sha256") == seal(document)["sha256"])
    except (ValueError, RecursionError):  # NaN, text that is not Unicode, or too deep: `seal` writes none of them
        return False


def quoted(path: Path) -> str:
    """A path as a shell takes it, for a command that is printed."""
    return shlex.quote(str(path))


def read_json(path: Path, limit: int = MAX_JSON_BYTES) -> Any:
    """Read a JSON file of at most `limit` bytes.

    Raises ToolkitError on a file that is missing, not an ordinary file, too large or not JSON, on a number that is not
    finite or that 64 bit do not hold, and on a key given twice in one object: readers disagree about which one counts.
    """
    try:
        with plain_system_errors():
            text = read_bytes(path, limit).decode()
        return json.loads(
            text, parse_int=_whole, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_object
        )
    except (ValueError, RecursionError) as error:
        raise ToolkitError(f"{path}: not readable as JSON ({error}). Make it again.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {doubled!r:.60} twice in one object")
    return document


def _whole(text: str) -> int:
    if abs(value := int(text)) > _WHOLE:
        raise ValueError(f"the number {text[:20]}... is larger than any count or size")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is not finite")
    return value


def _beside(path: Path, mark: str = "") -> Path:
    """Fresh hidden name in the folder of `path`, so that renaming it to `path` is atomic.

    It carries the machine and this process's id, by which a later run knows whether its owner lives.
    """
    name = f"{_hidden(path)}{_machine()}-{os.getpid()}-{secrets.token_hex(6)}{mark}"
    return path.with_name(name + path.suffix)


def _hidden(path: Path) -> str:
    """How the temporary names of `path` begin. Systems count bytes, not characters."""
    name = os.fsencode(path.name)
    short = name[:100].decode(errors="ignore")
    return f".{short}." if len(name) <= 100 else f".{short}~{hashlib.sha256(name).hexdigest()[:8]}."


def _machine() -> str:
    """Name of the space in which a process id means a process: the host, and on Linux the container."""
    try:
        space = str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        space = "0"
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        return True
    return True


def tidy(path: Path) -> None:
    """Put right what killed runs left beside `path`: their temporaries go, an output that was set aside comes back.

    What belongs to a process that lives, or that ran on another machine, stays.
    """
    path = path.absolute()
    ours = f"{re.escape(_hidden(path) + _machine())}-([0-9]+)-[0-9a-f]{{12}}({_ASIDE})?{re.escape(path.suffix)}"
    with suppress(OSError):
        found = [re.fullmatch(ours, name) for name in (entry.name for entry in path.parent.iterdir())]
        for match in sorted(filter(None, found), key=lambda match: not match[2]):  # first what was set aside
            if _lives(int(match[1])):
                continue
            left = path.with_name(match[0])
            if match[2] and not path.exists():
                left.replace(path)
                _log.warning("Warning: %s: put back, a run that was to replace it was killed.", path)
            elif left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


@contextmanager
def one_at_a_time(lock: Path, busy: str | None) -> Iterator[None]:
    """Context that one process at a time is in; the file `lock` exists meanwhile, and may be deleted inside.

    The folder of `lock` is made where it is not there, and then removed at the end if it is empty. Where another
    process is in it, raises ToolkitError with the text `busy`; where that is None, waits for it.
    """
    made = [folder for folder in lock.parents if not folder.exists()]
    descriptor = _lock(lock, wait=busy is None)
    if descriptor is None:
        raise ToolkitError(busy or "")
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        with suppress(OSError):  # they hold something by now
            for folder in made:
                folder.rmdir()
        os.close(descriptor)


def one_writer(path: Path) -> AbstractContextManager[None]:
    """Context of the one process that makes `path`; ToolkitError where another does."""
    busy = f"{path}: another process is writing there. Wait for it, or choose another name."
    return one_at_a_time(_writer_lock(path), busy)


def _writer_lock(path: Path) -> Path:
    return path.with_name(f"{_hidden(path)}lock")


def forget_writer(path: Path) -> None:
    """Remove what a killed writer of `path` left, its lock and its temporaries; nothing where one still writes."""
    lock = _writer_lock(path)
    if lock.exists() and (descriptor := _lock(lock, wait=False)) is not None:
        tidy(path)
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(lock: Path, *, wait: bool) -> int | None:
    """Open and lock a file; None where another process has it, unless to `wait` for that one."""
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise _unwritable(lock.parent, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), lock.stat()):
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # another process has it, or had it and deleted it since it was opened here
        if not wait:
            return None


def _disk_is_full(error: OSError) -> bool:
    # NumPy reports a write that was cut short without the system's error number.
    short = error.errno is None and "requested and" in str(error)
    return short or error.errno in (errno.ENOSPC, errno.EDQUOT)


def _unwritable(path: Path, error: OSError) -> ToolkitError:
    if _disk_is_full(error):
        return ToolkitError(f"{path}: the disk is full. Nothing was changed there. Free some space and go on.")
    named = Path(str(error.filename or path))
    ours = named in (path, *path.parents) or named.name.startswith(_hidden(path))
    reason = error.strerror if ours and error.strerror else error  # without the temporary's name
    if isinstance(error, FileExistsError):
        reason = "a file stands where a folder was expected"
    return ToolkitError(f"{path}: could not be written ({reason}). Nothing was changed there.")


@contextmanager
def named(output: Path, hidden: Path, *, holds_parts: bool = True) -> Iterator[None]:
    """Context whose errors name `output` in place of the hidden path at which it is being made.

    `holds_parts`: what lies in the hidden folder is a part of the output under the same name. Otherwise errors of
    writing there name the output alone.
    """
    try:
        yield
    except ToolkitError as error:
        if str(hidden) not in error.message:
            raise
        inside = "" if holds_parts else r"(/.*?(?=: (the disk is full|could not be written)))?"
        said = re.sub(re.escape(str(hidden)) + inside, lambda _: str(output), error.message)
        raise ToolkitError(said) from error
    except OSError as error:
        if not _disk_is_full(error):
            raise
        raise _unwritable(output, error) from error


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`. On success it replaces `path`; on any error it is deleted.

    Raises ToolkitError where `path` cannot be written.
    """
    path = path.absolute()
    tidy(path)
    temporary = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with named(path, temporary):
            yield temporary
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):  # the parent is not a folder
            temporary.unlink(missing_ok=True)


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Write bytes atomically: a reader sees the old file or the new one, never a part."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def atomic_write_json(path: Path, value: Any) -> None:
    """Write the bytes of `json_bytes`, atomically."""
    atomic_write_bytes(path, json_bytes(value))


def check_free(path: Path, overwrite: bool) -> None:
    """Raise the ToolkitError of `atomic_folder` early, before any work is done for the folder."""
    tidy(path)
    if path.exists() and not overwrite:
        raise ToolkitError(f"{path} exists already. Choose another name, remove it, or pass --overwrite.")
    if path.exists() and not (path / "manifest.json").is_file():
        raise ToolkitError(f"{path} is not a folder that this tool wrote: not overwritten. Choose another name.")


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path`. On success it becomes `path`; on any error it is deleted.

    Raises ToolkitError where `path` exists and `overwrite` is not given. A folder without a manifest.json was not
    written by this tool and is never overwritten, so that a mistyped name costs nobody a home directory.
    """
    path = path.absolute()
    check_free(path, overwrite)
    temporary, aside = _beside(path), _beside(path, _ASIDE)
    try:
        temporary.mkdir(parents=True)
        with named(path, temporary):
            yield temporary
        if path.exists():  # a folder cannot be replaced in one step: set the old one aside first
            path.replace(aside)
            try:
                temporary.replace(path)
            except OSError:
                aside.replace(path)
                raise
            shutil.rmtree(aside, ignore_errors=True)  # the new one is there; a later run removes what is left
        else:
            temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
