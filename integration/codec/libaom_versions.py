"""Versions of libaom that can be built: the rows of `integration/libaom/versions.toml`, and the one in use."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from toolkit.errors import ToolkitError

TABLE = Path(__file__).resolve().parents[1] / "libaom" / "versions.toml"
CHOICE = "AV1PART_LIBAOM"
"""Environment variable that names the version in use; the first of the table where it is unset or empty."""


@dataclass(frozen=True)
class PinnedFile:
    """File of Debian's source package `aom`, known by its hash; `suites` may have it, in this order."""

    file: str
    sha256: str
    suites: tuple[str, ...]


@dataclass(frozen=True)
class Patches:
    """Debian's security patches: `files`, in the order in which they are applied, of the package's `archive`."""

    archive: PinnedFile
    files: tuple[str, ...]


@dataclass(frozen=True)
class Version:
    """A version of libaom, such as 3.14.1, and how it is built with our C code.

    `wrapped` are functions of libaom whose calls the linker sends to our code: for `search`, `labels` and the `end` of
    an encoder. `differs` says what sets it apart.
    """

    name: str
    archive: PinnedFile
    patches: Patches | None
    wrapped: Mapping[str, tuple[str, ...]]
    differs: str


@cache
def versions() -> dict[str, Version]:
    """Rows of the table by version, the default first."""
    table = tomllib.loads(TABLE.read_text())
    return {row["name"]: _version(row, table["wrapped"][row["wrapped"]]) for row in table["version"]}


def version(name: str | None = None) -> Version:
    """Row of a version; None: of the one that AV1PART_LIBAOM names, else the first.

    Raises ToolkitError where the table has no such row.
    """
    rows = versions()
    wanted = name or os.environ.get(CHOICE) or next(iter(rows))
    if wanted not in rows:
        origin = "" if name else f"{CHOICE}="
        raise ToolkitError(f"{origin}{wanted}: no such version of libaom here. These are: {', '.join(rows)}.")
    return rows[wanted]


def _version(row: Mapping[str, Any], wrapped: Mapping[str, Any]) -> Version:
    suites, patches = tuple(row["suites"]), row.get("patches")
    return Version(
        row["name"],
        PinnedFile(**row["archive"], suites=suites),
        Patches(PinnedFile(**patches["archive"], suites=suites), tuple(patches["files"])) if patches else None,
        {purpose: tuple(calls) for purpose, calls in wrapped.items()},
        row["differs"],
    )
