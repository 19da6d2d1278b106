"""Files that are either whole or absent, and the hashes that seal them."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolkit.errors import ToolkitError

MAX_JSON_BYTES = 64 * 1024 * 1024


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in pieces."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:
    """The one byte string of a JSON value (sorted keys, no blanks, no NaN), so that it can be hashed."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.encode()


def seal(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with `sha256`, the hash of its canonical JSON without that key."""
    body = {k: v for k, v in document.items() if k != "sha256"}
    return {**body, "sha256": hashlib.sha256(canonical_json(body)).hexdigest()}


def is_sealed(document: dict[str, Any]) -> bool:
    """Whether the document's own `sha256` is that of its content."""
    return bool(document.get("sha256") == seal(document)["sha256"])


def read_json(path: Path) -> Any:
    """Read a JSON file; raises ToolkitError where it is missing, too large or not JSON."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ToolkitError(f"{path}: larger than {MAX_JSON_BYTES} bytes, so not a file of ours.")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ToolkitError(f"{path}: no such file.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ToolkitError(f"{path}: not readable as JSON ({error}). Make it again.") from None


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on any error it vanishes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes it private; the result is an ordinary file
        temporary.replace(path)
    except OSError as error:
        raise ToolkitError(f"{path}: could not be written ({error}). Nothing was changed there.") from error
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Write bytes so that a reader sees the old file or the new one, never a part."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def atomic_write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    atomic_write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it becomes `path`, on any error it vanishes.

    Raises ToolkitError where `path` exists already, unless `overwrite`.
    """
    if path.exists() and not overwrite:
        raise ToolkitError(f"{path} exists already. Choose another name, remove it, or pass --overwrite.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)
        if path.exists():  # a folder cannot be replaced in one step: set the old one aside first
            aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            path.replace(aside / path.name)
            temporary.replace(path)
            shutil.rmtree(aside)
        else:
            temporary.replace(path)
    except OSError as error:
        raise ToolkitError(f"{path}: could not be written ({error}). Nothing was changed there.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
