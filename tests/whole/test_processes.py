"""No process of ours outlives the one that started it, and SIGTERM cleans up as Ctrl-C does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.places import ROOT

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal at a parent's death is Linux's")
POOL = """
import time
from toolkit.processes import terminable, worker_pool
if __name__ == "__main__":
    with terminable(), worker_pool(2) as pool:
        futures = [pool.submit(time.sleep, 0) for _ in range(2)] + [pool.submit(time.sleep, 300) for _ in range(4)]
        futures[0].result()
        time.sleep(0.5)
        print(*pool._processes, flush=True)
        futures[-1].result()
"""
CHILD = """
import subprocess, sys, time
from toolkit.processes import child_environment
child = "import time, os; from toolkit.processes import obey_parent; obey_parent(); print(os.getpid(), flush=True); "
subprocess.run([sys.executable, "-c", child + "time.sleep(300)"], env=child_environment())
"""


def start(folder: Path, code: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A script, and the processes whose ids it prints."""
    script = folder / "script.py"
    # A shell that runs the tests in the background has its children ignore Ctrl-C.
    heard = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script.write_text(heard + code)
    root = str(ROOT)
    environment = {**os.environ, "PYTHONPATH": root}
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    return process, [int(word) for word in process.stdout.readline().split()]


def lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(processes: list[int], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(map(lives, processes)):
        time.sleep(0.05)
    return not any(map(lives, processes))


@linux
@pytest.mark.parametrize("code", [POOL, CHILD])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_its_parent(code: str, number: int, tmp_path: Path) -> None:
    parent, children = start(tmp_path, code)
    assert len(children) == (2 if code == POOL else 1)
    parent.send_signal(number)
    assert gone([parent.pid, *children])
    parent.communicate()


@linux
def test_an_interrupt_waits_for_no_call_that_runs(tmp_path: Path) -> None:
    parent, children = start(tmp_path, POOL)
    begun = time.monotonic()
    parent.send_signal(signal.SIGINT)
    _, said = parent.communicate(timeout=60)
    assert time.monotonic() - begun < 10
    assert gone(children)
    assert said.strip().splitlines()[-1] == "KeyboardInterrupt"


@linux
def test_a_command_ends_on_sigterm_as_on_ctrl_c(tmp_path: Path) -> None:
    code = """
import time, click, sys
from pathlib import Path
from toolkit.cli.main import main
from toolkit.files import atomic_file
@click.command()
def wait():
    with atomic_file(Path("result")) as temporary:
        temporary.write_text("half")
        print(flush=True)
        time.sleep(300)
main.add_command(wait)
main.get_command = lambda context, name: wait
main(["wait"])
"""
    for number in (signal.SIGTERM, signal.SIGINT):
        folder = tmp_path / str(number)
        folder.mkdir()
        process, _ = start(folder, f"import os; os.chdir({str(folder)!r})\n{code}")
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "Traceback" not in said
        assert [p.name for p in folder.iterdir()] == ["script.py"]
