"""requirements.lock: complete, checked by hashes, within the lower bounds, and without the name of a registry."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.places import ROOT

LOCK = ROOT / "requirements.lock"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def entries() -> list[str]:
    """Every locked version with its hashes, a line each."""
    return LOCK.read_text().replace("\\\n", " ").splitlines()


def wanted(extra: str = "") -> Iterator[Requirement]:
    """Requirements of the project with an extra, those of extras within it included."""
    for line in PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]:
        requirement = Requirement(line)
        if requirement.name != PROJECT["name"]:
            yield requirement
        for inner in requirement.extras if requirement.name == PROJECT["name"] else ():
            yield from wanted(inner)


def locked(python: str) -> dict[str, Requirement]:
    """Locked requirement by name, of those for that Python on this kind of machine."""
    environment = {"python_version": python, "python_full_version": f"{python}.1"}
    found = [Requirement(line.partition("--hash")[0]) for line in entries()]
    return {canonicalize_name(r.name): r for r in found if r.marker is None or r.marker.evaluate(environment)}


def test_every_file_has_a_hash_and_no_registry_is_named() -> None:
    for line in entries():
        assert re.fullmatch(r"[a-z0-9-]+==\S+( ; [^-]*?)?( +--hash=sha256:[0-9a-f]{64})+ *", line), line[:100]
    assert "/" not in re.sub("sha256:[0-9a-f]+", "", LOCK.read_text())


@pytest.mark.parametrize("python", PYTHONS)
def test_it_has_what_the_project_asks_for_within_its_lower_bounds(python: str) -> None:
    found = locked(python)
    for requirement in (*wanted(), *wanted("dev")):
        (pin,) = found[canonicalize_name(requirement.name)].specifier
        assert pin.operator == "=="
        assert pin.version in requirement.specifier, f"{requirement}: `make lock` brings the lock up to date"


@pytest.mark.long
def test_make_refuses_a_file_with_another_hash_and_names_it(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "demo-1.0-py3-none-any.whl").write_bytes(b"changed on the way")
    (tmp_path / "requirements.lock").write_text(f"demo==1.0 --hash=sha256:{'0' * 64}\n")
    own = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    words = ["make", "install", f"PYTHON={sys.executable}"]
    found = subprocess.run(words, cwd=tmp_path, env=os.environ | own, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "DO NOT MATCH THE HASHES" in found.stderr
    assert "demo==1.0" in found.stderr
    assert not (tmp_path / ".venv" / "installed").exists()
