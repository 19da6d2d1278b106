"""A Dask scheduler and workers on this machine, real processes each."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SCHEDULER = """
import asyncio, sys
from pathlib import Path
from distributed import Scheduler
async def main():
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        Path(sys.argv[1]).write_text(scheduler.address)
        await scheduler.finished()
asyncio.run(main())
"""
WORKER = """
import asyncio, sys
from distributed import Worker
async def main():
    address, threads, folder = sys.argv[1:]
    async with Worker(address, nthreads=int(threads), local_directory=folder, host="127.0.0.1") as worker:
        await worker.finished()
asyncio.run(main())
"""


@dataclass
class Dask:
    """A scheduler and its workers, their files in `folder`."""

    folder: Path
    address: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, code: str, *words: object, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a process that runs `code`."""
        own = os.environ | {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "false"} | (environment or {})
        command = [sys.executable, "-c", code, *map(str, words)]
        with (self.folder / f"log{len(self.processes)}").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=own, cwd=self.folder)
        self.processes.append(process)
        return process

    def worker(
        self, threads: int = 1, prepare: str = "", environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a worker, after the code `prepare`."""
        return self.start(prepare + WORKER, self.address, threads, self.folder / "own", environment=environment)

    def wait(self, count: int) -> None:
        """Wait until so many workers are there."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            while len(client.nthreads()) != count:
                time.sleep(0.05)


@contextmanager
def dask(folder: Path, workers: int) -> Iterator[Dask]:
    """Context with a scheduler and so many workers of one thread; all of them end with it."""
    folder.mkdir()
    found = Dask(folder)
    try:
        found.start(SCHEDULER, folder / "address")
        while not (folder / "address").exists() or not (folder / "address").read_text():
            assert found.processes[0].poll() is None, (folder / "log0").read_text()
            time.sleep(0.02)
        found.address = (folder / "address").read_text()
        for _ in range(workers):
            found.worker()
        found.wait(workers)
        yield found
    finally:
        for process in reversed(found.processes):
            process.send_signal(signal.SIGKILL)
            process.wait()
