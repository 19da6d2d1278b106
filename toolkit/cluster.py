"""Pieces of work on the workers of a Dask cluster; Dask is imported where a scheduler is named, and nowhere else.

A worker takes a piece only where it is what the client is: the same av1part, and the same of all else that decides the
results. Dask gives the pieces of a worker that died to others.
"""

import functools
import hashlib
import logging
import queue
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from toolkit.cpu import cpu_model
from toolkit.errors import ToolkitError, first_line
from toolkit.files import sha256_file

if TYPE_CHECKING:
    from distributed import Client, Future

Item = TypeVar("Item")
Result = TypeVar("Result")
Identity = Callable[[], Mapping[str, str]]
"""Names, and what has that name here: whatever has to be the same on the client and on every worker."""

CPU, THREADS = "CPU model", "threads"
_PATIENCE = 10
"""Seconds in which a scheduler has to answer."""
_LOOK = 1.0
"""Seconds between two looks at who is there."""
_PACKAGES = ("av1part", "toolkit", "export", "integration")
_log = logging.getLogger("av1part")


@functools.cache
def own_code() -> str:
    """Twelve hexadecimal digits that name av1part's files, code and pruners in the box, as they lie on this machine."""
    root, digest = Path(__file__).resolve().parents[1], hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.parent.name != "__pycache__" and path.is_file():
                digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def check_same_file(path: Path, sha256: str) -> None:
    """Raise ToolkitError unless this worker finds the client's file at the client's path."""
    if not path.is_file() or sha256_file(path) != sha256:
        raise ToolkitError(
            f"{path}: is not there, or another file. Workers read the sources at the same paths: share the folder, or "
            "copy it."
        )


@dataclass
class Cluster:
    """Workers of the Dask scheduler at `address`.

    With `mixed_cpus` results whose CPU times are compared may come from several models of CPU. `workers` is their
    number when it was last looked at.
    """

    address: str
    mixed_cpus: bool = False
    workers: int = field(default=0, init=False)

    def each(
        self, task: Callable[[Item], Result], items: Sequence[Item], identity: Identity, *, timed: bool = False
    ) -> Generator[tuple[int, Result]]:
        """Yield the place of each item and what `task` makes of it on a worker, in the order in which they are done.

        `timed`: the results hold CPU times that are compared. Raises ToolkitError where the scheduler does not answer
        or goes away, where a worker differs from the client, and the task's own. A worker that cannot go on (its disk
        is full), or that comes later and differs, is left out with a warning. Closing early leaves the workers alive.
        """
        if not items:
            return
        with _connect(self.address) as client:
            wanted = self._check(client, identity, timed)
            yield from _Spread(self, client, task, items, identity, wanted).results()

    def _check(self, client: "Client", identity: Identity, timed: bool) -> dict[str, str]:
        """What every worker has to be; ToolkitError where one of those that are there is something else."""
        wanted = _found(identity)
        del wanted[CPU]
        told = False
        while not (found := client.run(_found, identity, on_error="return")):
            if not told:
                _log.warning("Warning: the scheduler at %s has no worker yet. Waiting for one.", self.address)
            told = True
            time.sleep(_LOOK)
        self.workers = len(found)
        wrong = [f"{worker} ({text})" for worker, own in found.items() if (text := _difference(wanted, own))]
        if wrong:
            raise ToolkitError(
                f"Workers of {self.address} are not as this client is: {'; '.join(wrong)}. Install the same av1part "
                "there, run `av1part encoder build`, and start workers of one thread each (`--nthreads 1`)."
            )
        models = sorted({own[CPU] for own in found.values()})
        if timed and not self.mixed_cpus:
            if len(models) > 1:
                raise ToolkitError(
                    f"Workers of {self.address} have several models of CPU ({', '.join(models)}), and CPU times of "
                    "several cannot be compared. Give workers of one model, or --mixed-cpus."
                )
            wanted[CPU] = models[0]
        return wanted


def _connect(address: str) -> "Client":
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters of it is told in our own words
    try:
        return Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ToolkitError(
            f"{address}: no Dask scheduler answers ({first_line(error)}). Start one with `dask scheduler`, and give "
            "its address as tcp://HOST:8786."
        ) from None


@dataclass(frozen=True)
class _Reply(Generic[Result]):
    """What a worker says of a piece: its result, or the trouble for which another worker has to do it."""

    worker: str
    result: Result | None = None
    trouble: str = ""


def _found(identity: Identity, dask_worker: Any = None) -> dict[str, str]:
    """What this process is, on a worker with Dask's object of it; ToolkitError where it cannot say.

    Pieces run one at a time in a process: they measure CPU times, and the encoder's libraries keep what is global.
    """
    threads = dask_worker.state.nthreads if dask_worker else 1
    return {"av1part": own_code(), **identity(), THREADS: str(threads), CPU: cpu_model()}


def _difference(wanted: Mapping[str, str], found: Mapping[str, str] | BaseException) -> str:
    """What another process is and should not be; empty for nothing."""
    if isinstance(found, BaseException):
        return first_line(found)
    names = [name for name in wanted if wanted[name] != found.get(name)]
    return ", ".join(f"{name} {found.get(name)}, expected {wanted[name]}" for name in names)


def _attempt(
    task: Callable[[Item], Result], item: Item, identity: Identity, wanted: Mapping[str, str]
) -> _Reply[Result]:
    """Do a piece on this worker."""
    from distributed import get_worker

    own = get_worker()
    where = str(own.address)
    try:
        if trouble := _difference(wanted, _found(identity, own)):
            return _Reply(where, trouble=trouble)
        return _Reply(where, task(item))
    except OSError as error:
        return _Reply(where, trouble=first_line(error))
    except ToolkitError as error:
        if isinstance(error.__cause__, OSError):
            return _Reply(where, trouble=error.message)
        raise ToolkitError(f"{error.message} (On worker {where}.)") from None


@dataclass
class _Waiting:
    future: "Future[Any]"
    index: int
    only: frozenset[str]
    """Addresses of the workers that may do it; empty for all."""


class _Spread(Generic[Item, Result]):
    """Items that workers work on, until each has its result."""

    def __init__(
        self,
        cluster: Cluster,
        client: "Client",
        task: Callable[[Item], Result],
        items: Sequence[Item],
        identity: Identity,
        wanted: Mapping[str, str],
    ) -> None:
        self._cluster, self._client, self._items = cluster, client, items
        self._call = task, identity, wanted
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._waiting: dict[str, _Waiting] = {}
        self._left_out: dict[str, str] = {}
        self._looked = 0.0

    def results(self) -> Iterator[tuple[int, Result]]:
        """Yield each item's place and result as it comes; errors as of `Cluster.each`."""
        for index in range(len(self._items)):
            self._submit(index)
        while self._waiting:
            if time.monotonic() - self._looked > _LOOK:
                self._look()
            try:
                one = self._waiting.pop(self._ended.get(timeout=_LOOK), None)
            except queue.Empty:
                continue
            if one is None:  # it was taken from workers that went away
                continue
            reply = self._reply(one)
            if reply.trouble:
                self._leave_out(reply.worker, reply.trouble)
                self._submit(one.index)
            else:
                yield one.index, reply.result  # type: ignore[misc]  # no trouble, so there is one

    def _submit(self, index: int) -> None:
        only: frozenset[str] = frozenset()
        if self._left_out:
            only = frozenset(self._client.nthreads()) - frozenset(self._left_out)
            if not only:
                reasons = "; ".join(f"{worker}: {reason}" for worker, reason in self._left_out.items())
                raise ToolkitError(f"No worker can go on: {reasons}. Run the same command again: what is done is kept.")
        task, identity, wanted = self._call
        key = f"av1part-{uuid.uuid4().hex}"
        future = self._client.submit(
            _attempt, task, self._items[index], identity, wanted, key=key, pure=False, workers=sorted(only) or None
        )
        self._waiting[key] = _Waiting(future, index, only)
        future.add_done_callback(lambda ended: self._ended.put(key))

    def _reply(self, one: _Waiting) -> _Reply[Any]:
        from distributed import KilledWorker

        try:
            reply: _Reply[Any] = one.future.result()
        except ToolkitError:
            raise
        except KilledWorker:
            raise ToolkitError(
                f"Several workers died of piece {one.index + 1} (out of memory?). Run the same command again with "
                "larger ones: what is done is kept."
            ) from None
        except Exception:
            if one.future.status in ("cancelled", "lost"):
                raise self._gone() from None
            raise
        return reply

    def _look(self) -> None:
        """See who is there, and give what was for workers that have gone to others."""
        if self._client.status != "running":
            raise self._gone()
        try:
            present = frozenset(self._client.nthreads())
        except (OSError, TimeoutError):
            raise self._gone() from None
        if not present and self._cluster.workers:
            _log.warning("Warning: the scheduler at %s has no worker left. Waiting for one.", self._cluster.address)
        self._cluster.workers, self._looked = len(present), time.monotonic()
        for key, one in list(self._waiting.items()):
            if one.only and not one.only & present:
                del self._waiting[key]
                self._submit(one.index)

    def _leave_out(self, worker: str, reason: str) -> None:
        if worker not in self._left_out:
            _log.warning("Warning: worker %s is left out: %s", worker, reason)
        self._left_out[worker] = reason

    def _gone(self) -> ToolkitError:
        return ToolkitError(
            f"{self._cluster.address}: the Dask scheduler has gone. Start it and its workers, and run the same command "
            "again: what is done is kept."
        )
