"""The script that installs system packages, where it can and where it cannot; it is in the source archive."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from support.places import ROOT

SCRIPT = ROOT / ".ci" / "system"


@pytest.mark.parametrize(("user", "apt"), [(0, "exit 100"), (0, None), (1000, "exit 100")])
def test_packages_that_cannot_be_installed_are_named_and_the_work_goes_on(
    tmp_path: Path, user: int, apt: str | None
) -> None:
    """As root without a network, on a system without apt-get, and without the right to install."""
    bash = shutil.which("bash")
    assert bash is not None
    programs = {"id": f"echo {user}"} | ({"apt-get": apt} if apt else {})
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!{bash}\n{body}\n")
        (tmp_path / name).chmod(0o755)
    found = subprocess.run(
        [bash, SCRIPT], env=os.environ | {"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert "Missing: cmake ninja-build nasm gcc" in found.stderr
    assert "sudo apt-get install cmake" in found.stderr


def test_the_source_archive_has_what_make_runs_and_the_readme_links_to() -> None:
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    kept = targets["sdist"]["include"]
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text())
    for path in (*links, ".ci/system", "Makefile"):
        assert (ROOT / path).exists(), path
        assert path.split("/")[0] in kept, path
