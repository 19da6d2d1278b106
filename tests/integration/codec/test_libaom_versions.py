"""The hook on every version of libaom in the table: the same tests prove it on each."""

import os
import re
import subprocess
import sys

import pytest
from support.libaom import IN_USE
from support.places import ROOT, TESTS

from integration.codec.libaom_build import build
from integration.codec.libaom_versions import CHOICE, versions

PROOF = (
    "libaom/test_hook.py",
    "libaom/test_search.py",
    "libaom/test_masks_at_fast_presets.py",
    "libaom/test_inter_frames.py",
    "codec/test_encoder.py",
)
"""Identity when idle, labels against the decoder, decisions; with all tests they run on the version in use alone."""


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("version", [name for name in versions() if name != IN_USE])
def test_what_proves_the_hook_passes_on_every_other_version_of_the_table(version: str) -> None:
    build(libaom=version)
    command = [
        sys.executable,
        "-m",
        "pytest",
        *(str(TESTS / "integration" / name) for name in PROOF),
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        command, env=os.environ | {CHOICE: version}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
    counts = {what: int(count) for count, what in re.findall(r"(\d+) (\w+)", done.stdout.splitlines()[-1])}
    assert counts["passed"] > 100
    assert not {"skipped", "xfailed"} & set(counts), done.stdout[-400:]
