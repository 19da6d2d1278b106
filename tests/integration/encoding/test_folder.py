"""`av1part encode` of several pictures: each becomes AVIF in a folder, and what is there or damaged stops nothing."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from support.cluster import dask
from support.pictures import CHELSEA

from integration.encoding.config import EncodeConfig
from integration.encoding.folder import Job, code_apart
from toolkit.cli.main import main
from toolkit.errors import ToolkitError
from toolkit.files import sha256_file


def encode(*words: object) -> Result:
    return CliRunner().invoke(main, ["encode", *map(str, words)])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of a JPEG in 4:2:0, a PNG, a damaged PNG, and a clip."""
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(CHELSEA) as image:
        small = image.convert("RGB").crop((100, 60, 164, 108))
    small.save(folder / "a.jpg", subsampling=2)
    small.save(folder / "b.png")
    (folder / "bad.png").write_bytes((folder / "b.png").read_bytes()[:2000])
    (folder / "clip.y4m").write_bytes(b"YUV4MPEG2 W4 H4 F25:1 C420jpeg\nFRAME\n" + bytes(24))
    return folder


@pytest.mark.usefixtures("libaom")
def test_a_folder_is_coded_but_for_what_is_damaged_or_there_already(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = encode(photos, "-o", out, "--jobs", 1)
    assert first.exit_code == 1
    assert "1 of 3 pictures could not be coded:" in first.output
    assert "bad.png: not readable as a photograph" in first.output
    assert sorted(path.name for path in out.iterdir()) == ["a.avif", "b.avif"]
    kept = (out / "a.avif").read_bytes()
    (photos / "bad.png").unlink()
    (out / "b.avif").unlink()
    second = encode(photos, "-o", out, "--jobs", 1, "--json")
    assert second.exit_code == 0, second.output
    report = json.loads(second.stdout)
    assert [Path(own["output"]).name for own in report["pictures"]] == ["b.avif"]
    assert report["there_already"] == 1
    assert (out / "a.avif").read_bytes() == kept


@pytest.mark.usefixtures("libaom")
def test_a_folder_that_is_coded_into_itself_goes_on_the_next_time(photos: Path) -> None:
    (photos / "bad.png").unlink()
    assert encode(photos, "-o", photos, "--jobs", 1).exit_code == 0
    (photos / "b.avif").unlink()
    again = encode(photos, "-o", photos, "--jobs", 1)
    assert again.exit_code == 0, again.output
    assert sorted(path.name for path in photos.glob("*.avif")) == ["a.avif", "b.avif"]


@pytest.mark.usefixtures("libaom")
def test_two_processes_write_what_one_writes(photos: Path, tmp_path: Path) -> None:
    (photos / "bad.png").unlink()
    for jobs in (1, 2):
        done = encode(photos / "a.jpg", photos / "b.png", "-o", tmp_path / f"out{jobs}", "--jobs", jobs)
        assert done.exit_code == 0, done.output
        assert "pictures: 2 coded\n" in done.output
    for name in ("a.avif", "b.avif"):
        assert (tmp_path / "out1" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes()


@pytest.mark.usefixtures("libaom")
def test_why_pictures_are_not_pruned_is_said_once_for_all_of_them(photos: Path, tmp_path: Path) -> None:
    (photos / "bad.png").unlink()
    words = (photos, "-o", tmp_path / "out", "--jobs", 1, "--overwrite", "--json")
    ten = encode(*words, "--depth", 10, "--chroma", 420)
    reason = "no pruner in the box has a measured gain on photographs, 10 bit, allintra usage, cpu-used 6"
    assert ten.stderr.count(f"2 of 2 pictures: Stock libaom: {reason}.") == ten.stderr.count(reason) == 1
    assert all(reason in own["said"] for own in json.loads(ten.stdout)["pictures"])
    assert "in all-intra usage libaom searches no partitions" in encode(*words, "--cpu-used", 8).stderr
    assert encode(*words).stderr == ""
    assert encode(*words, "--no-pipeline").stderr == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--provider", "cpu", "--strict"), "--strict, --provider: for clips or pipelines"),
        (("--keyint", 30), "--keyint: for clips or pipelines"),
        (("--frames", 2), "--frames: for clips or pipelines"),
        (("--price", 0.1, "--cpu-used", 8), "--price is a pruner's, and at this speed libaom searches no partitions"),
    ],
)
def test_options_that_mean_nothing_for_a_folder_are_refused_once(
    photos: Path, tmp_path: Path, words: tuple[object, ...], said: str
) -> None:
    done = encode(photos, "-o", tmp_path / "out", *words)
    assert done.exit_code == 2
    assert done.stderr.count(said) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("libaom")
def test_a_name_with_a_slash_at_its_end_is_a_folder_that_need_not_be_there(photos: Path, tmp_path: Path) -> None:
    done = encode(photos / "b.png", photos / "b.png", "-o", f"{tmp_path}/new/", "--keyint", 1)
    assert done.exit_code == 0, done.output
    assert encode(photos / "a.jpg", "-o", f"{tmp_path}/new.avif/").exit_code == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["b.avif"]
    assert [path.name for path in (tmp_path / "new.avif").iterdir()] == ["a.avif"]


@pytest.mark.usefixtures("libaom")
def test_an_interrupt_leaves_nothing_hidden_in_the_folder(tmp_path: Path) -> None:
    """While two processes are inside libaom, which lets no signal of Python's through."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), np.uint8)
    for name in ("a", "b"):
        Image.fromarray(noise).save(photos / f"{name}.png", compress_level=0)
    words = ["encode", photos, "-o", out, "--jobs", "2", "--cpu-used", "0", "--no-pipeline"]
    process = subprocess.Popen(
        [sys.executable, "-m", "av1part", *map(str, words)],
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # ignored where the suite runs in the background
    )
    try:
        while process.poll() is None and len(list(out.glob(".*lock"))) < 2:
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) != 0
    finally:
        process.kill()
    assert list(out.iterdir()) == []


def test_what_would_be_lost_or_is_no_picture_is_refused(photos: Path, tmp_path: Path) -> None:
    with Image.open(photos / "b.png") as image:
        image.save(photos / "a.png")
    assert "would both become" in encode(photos, "-o", tmp_path / "out").output
    (photos / "a.png").unlink()
    assert "several sources have to be pictures" in encode(photos / "a.jpg", photos / "clip.y4m", "-o", tmp_path).output
    (photos / "c.avif").write_bytes(b"")
    assert "is a source itself" in encode(photos / "c.avif", photos / "b.png", "-o", photos).output
    (tmp_path / "file").write_bytes(b"")
    assert "is a file; several pictures need a folder" in encode(photos, "-o", tmp_path / "file").output
    assert encode(photos, "-o", tmp_path / "out", "--pipeline", "photo-8bit", "--price", 1).exit_code in (1, 2)


def test_a_worker_with_another_picture_at_the_same_path_codes_nothing(photos: Path, tmp_path: Path) -> None:
    job = Job(photos / "a.jpg", tmp_path / "a.avif", EncodeConfig(), None, None, without=True)
    with pytest.raises(ToolkitError, match="is not there, or another file"):
        code_apart((job, sha256_file(photos / "b.png")))


@pytest.mark.usefixtures("libaom")
def test_workers_of_a_cluster_code_the_same_files_and_say_the_same_of_what_is_damaged(
    photos: Path, tmp_path: Path
) -> None:
    here = encode(photos, "-o", tmp_path / "here", "--jobs", 1)
    with dask(tmp_path / "dask", 2) as own:
        there = encode(photos, "-o", tmp_path / "there", "--scheduler", own.address)
        one = encode(photos / "a.jpg", "-o", tmp_path / "one.avif", "--scheduler", own.address)
    assert (here.exit_code, there.exit_code, one.exit_code) == (1, 1, 2)
    assert "1 of 3 pictures could not be coded" in there.output
    assert f"{photos / 'bad.png'}" in there.output
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["a.avif", "b.avif"]
    for name in ("a.avif", "b.avif"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
    assert "--scheduler is for several pictures" in one.output
