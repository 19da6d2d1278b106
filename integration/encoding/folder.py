"""Many pictures, coded as AVIF into a folder: one process a core, each picture by one thread."""

import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from integration.codec.config import four_way_of
from integration.codec.identity import encoder_identity
from integration.encoding.choice import expect, pruner_for
from integration.encoding.config import AVIF, EncodeConfig
from integration.encoding.encode import Report, encode_file, open_source
from integration.media.photographs import is_photograph
from integration.media.sources import expand
from integration.pruning.bundle import PrunerBundle
from toolkit.cluster import Cluster, check_same_file
from toolkit.errors import ToolkitError
from toolkit.files import atomic_write_bytes, forget_writer, sha256_file
from toolkit.folders import check_unsealed
from toolkit.processes import worker_pool

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """A picture to be coded; `pruner` None takes the one in the box for it, unless it goes `without`.

    `four_way` None leaves the 4-way partitions to the pruner.
    """

    source: Path
    output: Path
    settings: EncodeConfig
    four_way: bool | None
    pruner: PrunerBundle | None
    without: bool


@dataclass(frozen=True)
class Done:
    """What became of a picture: the report of its encode or, where that is None, the error.

    `pruned` names the pruner, empty for none; `said` says why nothing is gained by one, or is not known to be, and is
    empty where a gain is expected or nothing was to prune; `notes` are lines on what was left out of the picture.
    """

    source: Path
    output: Path
    report: Report | None
    pruned: str = ""
    said: str = ""
    notes: tuple[str, ...] = ()
    error: str = ""


def outputs_of(paths: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """The pictures among the paths and in the folders among them, and the file of each in `folder`.

    Where the pictures of a folder go into itself, the AVIF files in it are what an earlier call wrote. Raises
    ToolkitError where there is none, one is a clip, two would have the same file, or a file is a source.
    """
    if folder.exists() and not folder.is_dir():
        raise ToolkitError(f"{folder}: is a file; several pictures need a folder.")
    check_unsealed(folder / "picture")
    inside = {path for path in paths if path.is_dir()}
    sources = [path for path in expand(paths) if is_photograph(path) or path.parent not in inside]
    if folder in inside:
        sources = [path for path in sources if path.parent != folder or path.suffix.lower() != AVIF]
    if clips := [path for path in sources if not is_photograph(path)]:
        raise ToolkitError(f"{clips[0]}: a clip; several sources have to be pictures. Encode it by itself.")
    if not sources:
        raise ToolkitError(f"{paths[0]}: holds no picture that is read.")
    found: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    for source in dict.fromkeys(sources):
        target = folder / f"{source.stem}{AVIF}"
        if other := taken.get(target):
            raise ToolkitError(f"{other} and {source} would both become {target}. Rename one, or code them apart.")
        taken[target] = source
        if target.exists() and target.samefile(source):
            raise ToolkitError(f"{target} is a source itself, which would be lost. Choose another folder.")
        found[source] = target
    return found


def code_all(jobs: Sequence[Job], where: int | Cluster, progress: Progress) -> list[Done]:
    """Code pictures by so many processes, 0 for one a core, or on a cluster; in the order of the jobs."""
    progress(0, len(jobs))
    if isinstance(where, Cluster):
        return _on_cluster(where, jobs, progress)
    count = min(where or os.cpu_count() or 1, len(jobs))
    if count <= 1:
        done = []
        for job in jobs:
            done.append(code(job))
            progress(len(done), len(jobs))
        return done
    try:
        with worker_pool(count) as pool:
            futures = [pool.submit(code, job) for job in jobs]
            for number, _ in enumerate(as_completed(futures), 1):
                progress(number, len(jobs))
            return [future.result() for future in futures]
    except BaseException:  # an interrupt kills a process in the middle of a picture
        for job in jobs:
            forget_writer(job.output)
        raise


def _on_cluster(cluster: Cluster, jobs: Sequence[Job], progress: Progress) -> list[Done]:
    """Code pictures on workers, which read them at the client's paths and send the files back as bytes."""
    calls = [(replace(job, source=job.source.absolute()), sha256_file(job.source)) for job in jobs]
    done: dict[int, Done] = {}
    with closing(cluster.each(code_apart, calls, encoder_identity)) as replies:
        for index, (own, data) in replies:
            job = jobs[index]
            if data is not None:
                atomic_write_bytes(job.output, data)
            done[index] = replace(own, source=job.source, output=job.output)
            progress(len(done), len(jobs))
    return [done[index] for index in range(len(jobs))]


def code_apart(call: tuple[Job, str]) -> tuple[Done, bytes | None]:
    """Code a picture on this worker of a cluster: what became of it, and its file, None for none.

    Raises ToolkitError where the picture is not the one whose sha256 the client gives beside the job.
    """
    job, sha256 = call
    check_same_file(job.source, sha256)
    with tempfile.TemporaryDirectory() as folder:
        done = code(replace(job, output=Path(folder) / job.output.name))
        return done, done.output.read_bytes() if done.report else None


def code(job: Job) -> Done:
    """Code a picture; an error of its own is what became of it, and no reason to stop."""
    with _Notes() as notes:
        try:
            clip = open_source(job.source, job.settings, job.output)
            pruner, row, said = pruner_for(clip, job.settings, job.pruner, job.four_way, without=job.without)
            four_way = four_way_of(job.four_way, *([pruner.encoder] if pruner else []))
            report = encode_file(
                clip, job.output, replace(job.settings, four_way=four_way), pruner=pruner, overwrite=True
            )
        except ToolkitError as error:
            return Done(job.source, job.output, None, notes=tuple(notes.lines), error=error.message)
    if row:
        expect(report, row, clip)
    said = "" if row and row.gains else said
    return Done(job.source, job.output, report, pruner.path.name if pruner else "", said, tuple(notes.lines))


class _Notes(logging.Handler):
    """Context in which warnings are kept as `lines`."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def __enter__(self) -> "_Notes":
        logging.getLogger("av1part").addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger("av1part").removeHandler(self)
