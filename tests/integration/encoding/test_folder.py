"""`av1part encode` of several pictures: each becomes AVIF in a folder, and what is there or damaged stops nothing."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from support.pictures import CHELSEA

from toolkit.cli.main import main


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
