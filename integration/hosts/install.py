"""libaom.so.3 with pruners inside, copied to where a host's loader finds it."""

import shutil
from pathlib import Path

from integration.codec.libaom_build import libraries
from toolkit.errors import ToolkitError
from toolkit.files import atomic_file, sha256_file
from toolkit.folders import check_unsealed

NAME = "libaom.so.3"


def install(prefix: Path, *, overwrite: bool = False) -> Path:
    """Copy libaom.so.3 to `prefix`/lib and return its path; whole or not at all.

    Raises ToolkitError where libaom is not built, `prefix` lies in a sealed folder, or another file of that name is
    there and `overwrite` is not set: it may be the system's own.
    """
    source = libraries().aom
    target = prefix / "lib" / NAME
    check_unsealed(target)
    if target.exists() and not overwrite and sha256_file(target) != sha256_file(source):
        raise ToolkitError(f"{target}: another file is there. Take another --prefix, or replace it with --overwrite.")
    with atomic_file(target) as temporary:
        shutil.copyfile(source, temporary)
        temporary.chmod(0o755)
    return target
