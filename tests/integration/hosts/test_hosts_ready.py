"""What `run` needs is found once, and again as soon as a file that it was found in has changed."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.pruners import toy_folder, toy_pruner

from integration.codec.libaom_build import Libraries
from integration.hosts.models import models_of, variables
from integration.hosts.ready import _recalled, ready
from toolkit.errors import ToolkitError


def test_a_changed_pruner_is_verified_again(libaom: Libraries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("integration.hosts.ready.cache_folder", lambda: tmp_path / "cache")
    pruner = toy_folder(tmp_path / "pruner", libaom, toy_pruner([(16, "stop")], 0.0, 1.0))
    found = ready([pruner], None)
    assert found.variables == variables(models_of([pruner]), None, libaom)
    assert found.version == libaom.version
    (memory,) = (tmp_path / "cache").glob("run-*.json")
    assert _recalled(memory) == found == ready([pruner], None)
    data = (pruner / "pruner.bin").read_bytes()
    (pruner / "pruner.bin").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ToolkitError, match=r"pruner\.bin: changed or truncated"):
        ready([pruner], None)
    (pruner / "pruner.bin").write_bytes(data)
    assert ready([pruner], None) == found
    (pruner / "more").write_bytes(b"")
    with pytest.raises(ToolkitError, match="'more' does not belong in the folder"):
        ready([pruner], None)
    memory.write_text("[")
    (pruner / "more").unlink()
    assert ready([pruner], None) == found


@pytest.mark.usefixtures("libaom")
def test_the_second_run_imports_no_numpy() -> None:
    code = (
        "import sys\nfrom toolkit.cli.main import main\nmain(['run', '--quiet', '--', 'true'], standalone_mode=False)\n"
        "print('numpy' in sys.modules, 'msgspec' in sys.modules, 'multiprocessing' in sys.modules)"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"] * 3
