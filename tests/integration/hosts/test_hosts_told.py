"""The last line of `av1part run`: all frames counted, the reason where nothing was pruned, and what would help."""

from dataclasses import replace
from pathlib import Path

import pytest

from integration import zoo
from integration.hosts.counts import HostRun
from integration.hosts.told import Served, helpful, told
from integration.pruning.bundle import PrunerBundle

LINE = '{"frames":24,"key_frames":1,"pruned_frames":1,"decisions":{"stop_8":{"asked":9,"skipped":4}}}'
SERVED = [
    *(Served("good", True, (1, 2, 3), depth=depth) for depth in (8, 10)),
    Served("allintra", True, (2, 3, 4)),
    Served("allintra", True, (6,)),
]


def left(folder: Path, *, stats: bytes = b"", reasons: str = "") -> HostRun:
    """What is read of a host that left these files and ended with 3."""
    for name, data in (("stats", stats), ("reasons", reasons.encode())):
        if data:
            (folder / name).write_bytes(data)
    return HostRun.read(3, folder)


def test_frames_that_were_not_pruned_are_counted(tmp_path: Path) -> None:
    said = told(left(tmp_path, stats=f"{LINE}\n{LINE}\n".encode()), "ffmpeg", list, "3.12.1")
    assert said[0] == "2 of 2 key frames pruned, 8 of 18 decisions skip a part of the search"
    assert said[1] == "The other 46 of all 48 frames, inter frames, are coded as by libaom alone"
    assert said[2].startswith("libaom 3.12.1 took the place of ")


@pytest.mark.parametrize(
    "foreign", [b"[ffmpeg] hello", b"\xff\xfe", b"{}", b'{"decisions": 3}', b"7", LINE[:30].encode()]
)
def test_a_line_that_no_encoder_wrote_leaves_the_rest_and_is_said(tmp_path: Path, foreign: bytes) -> None:
    done = left(tmp_path, stats=LINE.encode() + b"\n" + foreign + b"\n")
    assert (done.status, done.incomplete, done.pruned_frames, done.lines) == (3, True, 1, (LINE,))
    assert "What else was pruned is unknown" in "; ".join(told(done, "ffmpeg", list, "3.12.1"))
    alone = left(tmp_path, stats=foreign)
    assert (alone.status, alone.incomplete, alone.frames) == (3, True, 0)
    assert "nothing was pruned" not in "; ".join(told(alone, "ffmpeg", list, "3.12.1"))


def test_files_that_are_gone_or_are_no_files_take_nothing_from_the_status(tmp_path: Path) -> None:
    assert HostRun.read(5, tmp_path / "gone") == replace(left(tmp_path), status=5)
    (tmp_path / "stats").mkdir()
    assert left(tmp_path).incomplete


@pytest.mark.parametrize(
    ("host", "reason", "options"),
    [
        ("ffmpeg", "no pruner for 8 bit, 4:4:4, usage good, cpu-used 2, 4-way on", "-pix_fmt yuv420p"),
        ("ffmpeg", "no pruner for 8 bit, monochrome, usage good, cpu-used 2, 4-way on", "-pix_fmt yuv420p"),
        ("ffmpeg", "no pruner for 12 bit, 4:2:2, usage good, cpu-used 2, 4-way on", "-pix_fmt yuv420p10le"),
        ("ffmpeg", "no pruner for 8 bit, 4:2:0, usage good, cpu-used 6, 4-way on", "-cpu-used 3"),
        ("ffmpeg", "no pruner for 8 bit, 4:2:0, usage realtime, cpu-used 3, 4-way on", "-usage good"),
        (
            "ffmpeg",
            "no pruner for 8 bit, 4:2:0, usage good, cpu-used 2, 4-way off",
            "-aom-params enable-1to4-partitions=1",
        ),
        ("avifenc", "no pruner for 8 bit, 4:4:4, usage allintra, cpu-used 6, 4-way on", "-y 420"),
        ("ffmpeg", "no pruner for 10 bit, 4:4:4, usage good, cpu-used 2, 4-way on", "-pix_fmt yuv420p10le"),
        ("avifenc", "no pruner for 12 bit, 4:2:0, usage allintra, cpu-used 5, 4-way on", "-d 8 -s 4"),
        ("avifenc", "no pruner for 10 bit, 4:2:0, usage allintra, cpu-used 6, 4-way on", "-d 8"),
        (
            "avifenc",
            "libaom searches no partitions for 8 bit, 4:4:4, usage allintra, cpu-used 8, 4-way on",
            "-y 420 -s 6",
        ),
        ("gst-launch-1.0", "no pruner for 8 bit, 4:4:4, usage good, cpu-used 5, 4-way on", "4:2:0 cpu-used 3"),
        ("ffmpeg", "no pruner for 12 bit, 4:4:4, usage allintra, cpu-used 6, 4-way on", "-pix_fmt yuv420p"),
        ("avifenc", "no pruner for 8 bit, 4:2:0, usage allintra, cpu-used 4, 4-way on, tune iq", "-a tune=psnr"),
        ("avifenc", "no pruner for 8 bit, 4:2:0, usage allintra, cpu-used 4, 4-way on, another tune", "-a tune=psnr"),
        ("ffmpeg", "no pruner for super-resolution or a resize mode", ""),
    ],
)
def test_the_option_that_would_help_is_named(host: str, reason: str, options: str, tmp_path: Path) -> None:
    line = f"coded as by libaom alone: {reason}"
    assert helpful([line], host, SERVED) == options
    said = "; ".join(told(left(tmp_path, reasons=f"{line}\n"), host, list, "3.12.1"))
    assert f"nothing was pruned in {host}: {reason}" in said
    assert "took the place of" in said
    assert "cpu-used" not in helpful([line], host, []), "where nothing is given, no speed would help"


def test_a_host_without_libaom_s_shared_library_is_told_so(tmp_path: Path) -> None:
    (said,) = told(left(tmp_path), "x265", list, "3.12.1")
    assert said.startswith("nothing was pruned in x265: no encoder of libaom's shared library took a pruner")


def test_a_pruner_in_the_box_serves_the_speeds_at_which_its_card_shows_a_gain() -> None:
    own = Served.by(PrunerBundle.load(zoo.FOLDER / "photo-8bit"))
    assert Served("good", True, (1, 2, 3)) in own
    assert Served("good", True, (1, 2, 3), depth=10) in own
    assert len({(one.depth, one.chroma, one.tune) for one in own}) == len(own)
    of_8_bit = Served.by(PrunerBundle.load(zoo.FOLDER / "photo-allintra-6"))
    assert {one.depth for one in of_8_bit} == {8}


def test_options_of_two_encoders_name_one_pixel_format() -> None:
    reasons = [
        f"coded as by libaom alone: no pruner for {samples}, usage good, cpu-used {speed}, 4-way on"
        for samples, speed in (("10 bit, 4:4:4", 2), ("10 bit, 4:2:0", 5))
    ]
    assert helpful(reasons, "ffmpeg", SERVED) == "-pix_fmt yuv420p10le -cpu-used 3"
