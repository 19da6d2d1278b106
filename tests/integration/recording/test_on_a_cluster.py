"""`--scheduler`: real workers give what this machine gives, whatever becomes of them."""

import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.cluster import Dask, dask
from support.commands import apart, cli, done, fails
from support.pictures import CHELSEA
from support.places import ROOT

from integration.recording import cluster as on_cluster
from integration.recording.config import LabelConfig, RecordConfig
from integration.recording.label import label
from integration.recording.pieces import DONE
from integration.recording.record import record
from toolkit.cluster import Cluster
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.pruners.record import SearchSet

pytestmark = pytest.mark.usefixtures("libaom")
LABELS = LabelConfig(cq=(30, 50), cpu_used=3, size=None, jobs=1, split="train", with_costs=False)
SLOW = replace(LABELS, cq=(20, 28), cpu_used=0)
OTHER_CPU = "import toolkit.cpu\ntoolkit.cpu.cpu_model = lambda: 'Another CPU'\n"
SMALL_DISK = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))\n"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three photographs of 64x64."""
    folder = tmp_path_factory.mktemp("pictures")
    with Image.open(CHELSEA) as cat:
        for number in range(3):
            cat.crop((64 * number, 100, 64 * number + 64, 164)).save(folder / f"part{number}.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    """A scheduler and three workers."""
    with dask(tmp_path_factory.mktemp("dask") / "own", 3) as found:
        yield found


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, pictures: list[Path]) -> Path:
    """The labels of the photographs, of one process on this machine."""
    path = tmp_path_factory.mktemp("local") / "set"
    label(pictures, path, LABELS)
    return path


def same(a: Path, b: Path) -> bool:
    files = [sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file()) for folder in (a, b)]
    return files[0] == files[1] and all((a / f).read_bytes() == (b / f).read_bytes() for f in files[0])


def test_workers_label_byte_for_byte_what_this_machine_labels(
    tmp_path: Path, pictures: list[Path], workers: Dask, local: Path
) -> None:
    seen, cluster = [], Cluster(workers.address)
    label(pictures, tmp_path / "set", LABELS, cluster=cluster, progress=lambda done, total: seen.append((done, total)))
    assert same(tmp_path / "set", local)
    assert seen == [(done, 6) for done in range(7)]
    assert cluster.workers == 3
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert not any(path.is_dir() and path.name.startswith("tmp") for path in (workers.folder / "own").rglob("*"))


def test_pieces_come_back_as_bytes_where_a_worker_does_not_see_the_folder(
    tmp_path: Path, pictures: list[Path], workers: Dask, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came, real = [], on_cluster._place
    monkeypatch.setattr(on_cluster, "_place", lambda files, target: (came.append(sorted(files)), real(files, target)))
    mark = Path.write_text
    monkeypatch.setattr(Path, "write_text", lambda path, text: mark(path, f"{text}{'other' * (path.name == 'client')}"))
    label(pictures, tmp_path / "set", LABELS, cluster=Cluster(workers.address))
    assert same(tmp_path / "set", local)
    assert len(came) == 6
    assert all(DONE in files for files in came)


def test_a_record_of_workers_is_that_of_this_machine_but_for_its_seconds(
    tmp_path: Path, pictures: list[Path], workers: Dask, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("record", *pictures, "--cq", "40,50", "--size", "source", "--cpu-used", "4", "--split", "train")
    done(*words, "--jobs", 1, "-o", tmp_path / "here")
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", workers.address)
    done(*words, "-o", tmp_path / "there")
    sets = [SearchSet.load(tmp_path / name) for name in ("here", "there")]
    for a, b in zip(*(own.entries for own in sets), strict=True):
        assert replace(a, seconds=0) == replace(b, seconds=0)
        assert b.seconds > 0
        rows = [np.load(own.path / a.file) for own in sets]
        for name in rows[0].dtype.names:
            if "seconds" not in name:
                np.testing.assert_array_equal(rows[0][name], rows[1][name])
    assert "scheduler" not in (tmp_path / "there" / "config.toml").read_text()


def test_pieces_of_a_worker_that_is_killed_are_done_by_another(tmp_path: Path, pictures: list[Path]) -> None:
    with dask(tmp_path / "dask", 1) as own:
        first = own.processes[1]

        def kill() -> None:
            while not any((tmp_path / "dask" / "own").rglob("piece")):  # the first worker is coding
                time.sleep(0.01)
            own.worker()
            first.send_signal(signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        label(pictures[:1], tmp_path / "set", SLOW, cluster=Cluster(own.address))
        killer.join()
        assert first.wait() == -signal.SIGKILL
    label(pictures[:1], tmp_path / "here", SLOW)
    assert same(tmp_path / "set", tmp_path / "here")


def test_what_is_done_is_kept_when_the_scheduler_goes(tmp_path: Path, pictures: list[Path], local: Path) -> None:
    def stop(finished: int, total: int) -> None:
        if finished == 1:
            own.processes[0].send_signal(signal.SIGKILL)

    with dask(tmp_path / "dask", 1) as own, pytest.raises(ToolkitError, match="the Dask scheduler has gone"):
        label(pictures, tmp_path / "set", LABELS, cluster=Cluster(own.address), progress=stop)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob(f".set.work/*/{DONE}")}
    assert kept
    steps: list[int] = []
    label(pictures, tmp_path / "set", LABELS, progress=lambda finished, total: steps.append(finished))
    assert steps[0] == len(kept)
    assert same(tmp_path / "set", local)


def test_an_interrupt_leaves_the_workers_alive_and_the_pieces_kept(
    tmp_path: Path, pictures: list[Path], workers: Dask
) -> None:
    def interrupt(finished: int, total: int) -> None:
        if finished == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label(pictures, tmp_path / "set", LABELS, cluster=Cluster(workers.address), progress=interrupt)
    assert len(list(tmp_path.glob(f".set.work/*/{DONE}"))) >= 2
    assert all(process.poll() is None for process in workers.processes)
    label(pictures, tmp_path / "set", LABELS, cluster=Cluster(workers.address))
    assert len(BlockSet.load(tmp_path / "set").sources) == 3


def test_a_worker_whose_disk_is_full_is_left_out(
    tmp_path: Path, pictures: list[Path], local: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with dask(tmp_path / "dask", 0) as own:
        own.worker(prepare=SMALL_DISK)
        own.wait(1)
        with pytest.raises(ToolkitError, match=r"No worker can go on: tcp://.*File too large"):
            label(pictures, tmp_path / "set", LABELS, cluster=Cluster(own.address))
        own.worker()
        own.wait(2)
        label(pictures, tmp_path / "set", LABELS, cluster=Cluster(own.address))
    assert same(tmp_path / "set", local)
    assert "is left out: " in caplog.text


def test_workers_that_are_not_as_the_client_are_refused_by_name(
    tmp_path: Path, pictures: list[Path], local: Path
) -> None:
    other = tmp_path / "other"
    for package in ("av1part", "toolkit", "export", "integration"):
        shutil.copytree(ROOT / package, other / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "av1part" / "__init__.py").open("a") as file:
        file.write("# another version\n")
    with dask(tmp_path / "dask", 1) as own:
        later = own.worker(environment={"PYTHONPATH": str(other)})
        own.wait(2)
        with pytest.raises(ToolkitError, match=r"tcp://127.0.0.1:\d+ \(av1part [0-9a-f]{12}, expected [0-9a-f]{12}\)"):
            label(pictures, tmp_path / "set", LABELS, cluster=Cluster(own.address))
        assert not list(tmp_path.glob(f".set.work/*/{DONE}"))
        later.kill()
        own.worker(prepare=OTHER_CPU)
        own.wait(2)
        config = RecordConfig(cq=(50,), cpu_used=4, size=None, split="train")
        with pytest.raises(ToolkitError, match=r"several models of CPU \(.*Another CPU"):
            record(pictures, tmp_path / "record", config, cluster=Cluster(own.address))
        record(pictures, tmp_path / "record", config, cluster=Cluster(own.address, mixed_cpus=True))
        label(pictures, tmp_path / "set", LABELS, cluster=Cluster(own.address))
        own.worker(threads=2)
        own.wait(3)
        with pytest.raises(ToolkitError, match=r"tcp://127.0.0.1:\d+ \(threads 2, expected 1\)"):
            label(pictures, tmp_path / "more", LABELS, cluster=Cluster(own.address))
    assert same(tmp_path / "set", local)


def test_a_record_of_pieces_of_two_models_of_cpu_is_not_written(
    tmp_path: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RecordConfig(cq=(45, 50), cpu_used=4, size=None, split="train", jobs=1)
    models = iter(["One CPU", "Another CPU"])
    monkeypatch.setattr("integration.recording.recorder.cpu_model", lambda: next(models))
    with pytest.raises(ToolkitError, match=r"several models of CPU \(Another CPU, One CPU\)"):
        record(pictures[:1], tmp_path / "set", config)
    assert len(list(tmp_path.glob(f".set.work/*/{DONE}"))) == 2
    assert not (tmp_path / "set").exists()


def test_no_scheduler_is_one_sentence_and_no_dask_is_imported_without_one(tmp_path: Path, pictures: list[Path]) -> None:
    words = ("label", pictures[0], "--cq", "50", "--size", "source", "--split", "train", "--jobs", 1)
    fails(cli(*words, "-o", tmp_path / "set", "--scheduler", "nonsense://x"), "no Dask scheduler answers")
    hide = "import sys\nsys.modules['distributed'] = sys.modules['dask'] = None\n"
    ((_, ended),) = apart([(*words, "-o", tmp_path / "set")], prepare=hide)
    assert ended.returncode == 0, ended.stderr
