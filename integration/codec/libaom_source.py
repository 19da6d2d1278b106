"""Source code of libaom: pinned files, fetched through apt or given, always checked by their hashes."""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from integration.codec.libaom_versions import Patches, PinnedFile, Version, versions
from toolkit.errors import ToolkitError
from toolkit.files import sha256_file

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def fetch(wanted: PinnedFile, folder: Path) -> Path:
    """Return a pinned file in `folder`, downloaded through apt unless it lies there already.

    The address comes from the machine's own apt configuration, with the suite changed. The system's own lists and
    sources are left alone. Raises ToolkitError where apt cannot get it.
    """
    target = folder / wanted.file
    if _is(target, wanted):
        return target
    if shutil.which("apt-get") is None:
        raise ToolkitError(f"apt-get is not here, so {wanted.file} cannot be fetched. {_by_hand(wanted)}")
    folder.mkdir(parents=True, exist_ok=True)
    log = ""
    for suite in wanted.suites:
        for uri in _repositories():
            with tempfile.TemporaryDirectory(dir=folder) as name:
                log = _apt_source(Path(name), uri, suite)
                found = Path(name) / "download" / wanted.file
                # apt may fail on another file of the package and still leave this one, so the hash decides.
                if _is(found, wanted):
                    found.replace(target)
                    return target
    last = log.strip().splitlines()[-1:] or ["apt has no repository with a `main` component"]
    raise ToolkitError(f"{wanted.file} could not be fetched through apt ({last[0]}). {_by_hand(wanted)}")


def _is(path: Path, wanted: PinnedFile) -> bool:
    return path.is_file() and sha256_file(path) == wanted.sha256


def _by_hand(wanted: PinnedFile) -> str:
    return (
        f"Get {wanted.file} (sha256 {wanted.sha256}) in another way, it is of Debian {' or '.join(wanted.suites)}'s "
        "source package aom, and run `av1part encoder build --source FILE`, with patches beside FILE."
    )


def _repositories() -> list[str]:
    """Addresses of the machine's configured repositories that have a `main` component, in apt's order."""
    command = ["apt-get", "indextargets", "--format", "$(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return list(
        dict.fromkeys(uri for component, _, uri in (line.partition(" ") for line in lines) if component == "main")
    )


def _apt_source(temporary: Path, uri: str, suite: str) -> str:
    """Let apt download the suite's source package into `temporary`/download; return apt's output."""
    for folder in ("sources", "lists/partial", "cache/archives/partial", "download"):
        (temporary / folder).mkdir(parents=True, exist_ok=True)
    entry = f"Types: deb-src\nURIs: {uri}\nSuites: {suite}\nComponents: main\n"
    if KEYRING.is_file():
        entry += f"Signed-By: {KEYRING}\n"
    (temporary / "sources" / "libaom.sources").write_text(entry)
    apt = ["apt-get", "-q", "-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={temporary}/sources"]
    apt += ["-o", f"Dir::State::lists={temporary}/lists", "-o", f"Dir::Cache={temporary}/cache"]
    log = ""
    for step in (["update"], ["source", "--download-only", "aom"]):
        done = subprocess.run([*apt, *step], cwd=temporary / "download", capture_output=True, text=True, check=False)
        log += done.stdout + done.stderr
    return log


def unpack(version: Version, archive: Path | None, cache: Path, folder: Path) -> Path:
    """Unpack a version's archive into `folder`, with its security patches applied; return the top of the source.

    `archive` None fetches it into `cache`; patches are taken from beside the archive, else fetched. Raises ToolkitError
    on another hash, and where a patch does not apply.
    """
    archive = archive or fetch(version.archive, cache)
    identify(version, archive)
    _extract(archive, folder)
    tree = next(path.parent for path in sorted(folder.rglob("CMakeLists.txt"), key=lambda path: len(path.parts)))
    if version.patches:
        beside = archive.parent / version.patches.archive.file
        pinned = beside if _is(beside, version.patches.archive) else fetch(version.patches.archive, cache)
        _patch(tree, version.patches, pinned, folder / "debian")
    return tree


def _extract(archive: Path, folder: Path) -> None:
    # Python before 3.11.4, as in Debian 12, has no filters. The hash says what is in the archive, so none is needed.
    safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    shutil.unpack_archive(archive, folder, **safely)


def _patch(tree: Path, patches: Patches, archive: Path, folder: Path) -> None:
    """Apply security patches to a source tree; ToolkitError where one does not apply whole."""
    _extract(archive, folder)
    for name in patches.files:
        patch = folder / "debian" / "patches" / name
        command = ["patch", "--batch", "--forward", "-p1", "-d", str(tree), "-i", str(patch)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ToolkitError(f"{name} does not apply to libaom's source:\n{done.stdout}{done.stderr}")


def identify(version: Version, source: Path) -> str:
    """Hash of a source: that of the version's archive, or of every path and content in a folder.

    Raises ToolkitError for another archive, and for a folder that does not hold libaom's source.
    """
    pinned = version.archive
    if source.is_dir():
        return _hash_folder(source, pinned)
    if not source.is_file():
        raise ToolkitError(f"{source}: no such file or folder. {_by_hand(pinned)}")
    found = sha256_file(source)
    if found != pinned.sha256:
        known = [name for name, row in versions().items() if row.archive.sha256 == found]
        advice = f" It is that of libaom {known[0]}: add --libaom {known[0]}." if known else ""
        raise ToolkitError(f"{source}: sha256 is {found}, expected {pinned.sha256} (libaom {version.name}).{advice}")
    return found


def _hash_folder(folder: Path, pinned: PinnedFile) -> str:
    if not (folder / "CMakeLists.txt").is_file() or not (folder / "av1").is_dir():
        raise ToolkitError(f"{folder}: not libaom's source (CMakeLists.txt and av1/ expected). {_by_hand(pinned)}")
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and ".git" not in p.relative_to(folder).parts):
        digest.update(f"{path.relative_to(folder)}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()
