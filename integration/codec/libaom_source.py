"""Source code of libaom: the pinned archive, fetched through apt or given, always checked by its hash."""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.files import sha256_file

VERSION = "3.12.1"
ARCHIVE = f"aom_{VERSION}.orig.tar.gz"
ARCHIVE_SHA256 = "40c929a41b2a59c24319a699c358351422829b3ae646de31b18cbabed0191962"
SUITE = "trixie"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
BY_HAND = (
    f"Get {ARCHIVE} (sha256 {ARCHIVE_SHA256}) in another way, it is the source archive of Debian {SUITE}'s "
    "package aom, and run `av1part encoder build --source FILE`."
)


def fetch_archive(folder: Path) -> Path:
    """Return the pinned archive in `folder`, downloaded through apt unless it lies there already.

    The address comes from the machine's own apt configuration, with the suite changed. The system's own lists and
    sources are left alone. Raises ToolkitError where apt cannot get it.
    """
    archive = folder / ARCHIVE
    if archive.is_file() and sha256_file(archive) == ARCHIVE_SHA256:
        return archive
    if shutil.which("apt-get") is None:
        raise ToolkitError(f"apt-get is not here, so libaom's source cannot be fetched. {BY_HAND}")
    folder.mkdir(parents=True, exist_ok=True)
    log = ""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        temporary = Path(name)
        for uri in _repositories():
            log = _apt_source(temporary, uri)
            found = temporary / "download" / ARCHIVE
            # apt may fail on another file of the package and still leave this one, so the hash decides.
            if found.is_file() and sha256_file(found) == ARCHIVE_SHA256:
                found.replace(archive)
                return archive
    last = log.strip().splitlines()[-1:] or ["apt has no repository with a `main` component"]
    raise ToolkitError(f"libaom's source could not be fetched through apt ({last[0]}). {BY_HAND}")


def _repositories() -> list[str]:
    """Addresses of the machine's configured repositories that have a `main` component, in apt's order."""
    command = ["apt-get", "indextargets", "--format", "$(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return list(
        dict.fromkeys(uri for component, _, uri in (line.partition(" ") for line in lines) if component == "main")
    )


def _apt_source(temporary: Path, uri: str) -> str:
    """Let apt download the package's archive into `temporary`/download; return apt's output."""
    for folder in ("sources", "lists/partial", "cache/archives/partial", "download"):
        (temporary / folder).mkdir(parents=True, exist_ok=True)
    entry = f"Types: deb-src\nURIs: {uri}\nSuites: {SUITE}\nComponents: main\n"
    if KEYRING.is_file():
        entry += f"Signed-By: {KEYRING}\n"
    (temporary / "sources" / "libaom.sources").write_text(entry)
    apt = ["apt-get", "-q", "-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={temporary}/sources"]
    apt += ["-o", f"Dir::State::lists={temporary}/lists", "-o", f"Dir::Cache={temporary}/cache"]
    log = ""
    for step in (["update"], ["source", "--download-only", "--tar-only", "aom"]):
        done = subprocess.run([*apt, *step], cwd=temporary / "download", capture_output=True, text=True, check=False)
        log += done.stdout + done.stderr
    return log


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack the pinned archive into `folder` and return the archive's top folder; ToolkitError on another hash."""
    identify(archive)
    # Python before 3.11.4, as in Debian 12, has no filters. The hash says what is in the archive, so none is needed.
    safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    shutil.unpack_archive(archive, folder, format="gztar", **safely)
    return next(path for path in sorted(folder.iterdir()) if path.is_dir())


def identify(source: Path) -> str:
    """Hash of a source: that of the pinned archive, or of every path and content in a folder.

    Raises ToolkitError for another archive, and for a folder that does not hold libaom's source.
    """
    if source.is_dir():
        return _hash_folder(source)
    if not source.is_file():
        raise ToolkitError(f"{source}: no such file or folder. {BY_HAND}")
    found = sha256_file(source)
    if found != ARCHIVE_SHA256:
        raise ToolkitError(f"{source}: sha256 is {found}, expected {ARCHIVE_SHA256} (libaom {VERSION}).")
    return found


def _hash_folder(folder: Path) -> str:
    if not (folder / "CMakeLists.txt").is_file() or not (folder / "av1").is_dir():
        raise ToolkitError(f"{folder}: not libaom's source (CMakeLists.txt and av1/ expected). {BY_HAND}")
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and ".git" not in p.relative_to(folder).parts):
        digest.update(f"{path.relative_to(folder)}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()
