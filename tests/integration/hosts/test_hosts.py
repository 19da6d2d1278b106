"""Encoders that people have, with libaom.so.3 of ours: the same bytes when off, pruned when on, clear when unsuited."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import termios
import time
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from support.commands import cli, done, fails
from support.hosts import build_host
from support.libaom import EARLIER, IN_USE
from support.masks import numpy_masks
from support.pictures import CHELSEA, frame
from support.pipelines import LIBAOM, random_pipeline
from support.pruners import toy_folder, toy_pruner

from integration import zoo
from integration.codec.config import EncoderConfig
from integration.codec.encoder import Encoder
from integration.codec.libaom_build import Libraries
from integration.codec.masker import onnx_runtime
from integration.codec.native import libaom_version, load
from integration.media.video import open_clip
from integration.pipeline.pipeline import Pipeline
from integration.pruning.bundle import PrunerBundle
from integration.pruning.encoder import count_decisions, named_counts, use_pruner

PHOTO = zoo.FOLDER / "photo-8bit"
LINE = '{"frames":1,"key_frames":1,"pruned_frames":1,"decisions":{}}'
ALL = [(side, "stop") for side in (8, 16, 32)]


def needs(client: str, package: str) -> None:
    if shutil.which(client) is None:
        pytest.skip(f"{client} is not installed: apt-get install {package}")


@pytest.fixture(scope="module")
def plain(libaom: Libraries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a libaom.so.3 from the same archive without anything of ours."""
    folder = tmp_path_factory.mktemp("plain")
    archive = libaom.hook.parents[1] / str(libaom.info["libaom"]) / "libaom.a"
    whole = ["-Wl,--whole-archive", str(archive), "-Wl,--no-whole-archive", f"-Wl,--version-script={libaom.exports}"]
    target = ["-shared", "-o", str(folder / "libaom.so.3"), "-Wl,-soname,libaom.so.3"]
    subprocess.run(["cc", *target, *whole, "-lm", "-lpthread"], check=True)
    return folder


def run(command: list[object], library: Path, **variables: object) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("AV1PART_")}
    env |= {"LD_LIBRARY_PATH": str(library)} | {key: str(value) for key, value in variables.items()}
    found = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=env, check=False)
    assert found.returncode == 0, found.stderr
    return found


def ffmpeg(output: Path, source: Path = CHELSEA, *options: object, frames: int = 1, cpu_used: int = 2) -> list[object]:
    """Encode without tags of the program's own, so that equal pictures give equal files."""
    before = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", "-i", source, "-frames:v", frames]
    codec = ["-c:v", "libaom-av1", "-usage", "good", "-cpu-used", cpu_used, "-crf", 43, "-b:v", 0]
    return [*before, *codec, "-pix_fmt", "yuv420p", "-vf", "crop=192:128:100:100", *options, "-f", "ivf", output]


def test_the_library_exports_what_libaom_does(libaom: Libraries) -> None:
    listed = subprocess.run(["nm", "-D", "--defined-only", libaom.aom], capture_output=True, text=True, check=True)
    script = libaom.exports.read_text()
    wanted = {line.strip(" ;\n") for line in script.splitlines() if line.endswith(";") and "*" not in line}
    wanted.discard("}")
    assert {line.split()[-1] for line in listed.stdout.splitlines()} == wanted
    assert {"aom_codec_av1_cx", "aom_codec_enc_init_ver", "aom_codec_decode"} <= wanted
    dynamic = subprocess.run(["readelf", "-d", libaom.aom], capture_output=True, text=True, check=True).stdout
    assert "[libaom.so.3]" in dynamic


def test_ffmpeg_is_pruned_and_the_same_bytes_come_when_it_is_off(
    libaom: Libraries, plain: Path, tmp_path: Path
) -> None:
    needs("ffmpeg", "ffmpeg")
    stock, off, on, again = (tmp_path / name for name in ("stock.ivf", "off.ivf", "on.ivf", "again.ivf"))
    stats = tmp_path / "stats"
    run(ffmpeg(stock), plain)
    run(ffmpeg(off), libaom.aom.parent)
    assert off.read_bytes() == stock.read_bytes()
    for output in (on, again):
        found = run(ffmpeg(output), libaom.aom.parent, AV1PART_PIPELINE=PHOTO, AV1PART_STATS=stats)
        assert found.stderr == ""
    assert on.read_bytes() == again.read_bytes() != stock.read_bytes()
    first, second = (json.loads(line) for line in stats.read_text().splitlines())
    assert first == second
    assert first["pruned_frames"] == first["key_frames"] == 1
    assert sum(own["skipped"] for own in first["decisions"].values()) > 20
    with av.open(str(on)) as container:
        assert len(list(container.decode(video=0))) == 1


def test_it_decides_as_python_does(libaom: Libraries, tmp_path: Path) -> None:
    """The same samples and settings: the library inside ffmpeg and the encoder in Python ask and skip alike."""
    needs("ffmpeg", "ffmpeg")
    clip, stats = tmp_path / "clip.y4m", tmp_path / "stats"
    crop = ["ffmpeg", "-loglevel", "error", "-i", CHELSEA, "-vf", "crop=192:128:100:100", "-pix_fmt", "yuv420p"]
    run([*crop, clip], libaom.aom.parent)
    settings = ["-g", 0, "-lag-in-frames", 0, "-row-mt", 0, "-threads", 1, "-aom-params", "deltaq-mode=0"]
    command = ffmpeg(tmp_path / "out.ivf", clip, *settings, "-vf", "null")
    run(command, libaom.aom.parent, AV1PART_PIPELINE=PHOTO, AV1PART_STATS=stats)
    with Encoder(EncoderConfig(192, 128, cq=43, cpu_used=2, four_way=True)) as encoder:
        use_pruner(encoder, PrunerBundle.load(PHOTO))
        encoder.encode(next(open_clip(clip).frames()))
        expected = named_counts(count_decisions(encoder))
    assert json.loads(stats.read_text())["decisions"] == expected


@pytest.mark.parametrize(
    "options",
    [
        ["-threads", 4, "-row-mt", 1, "-tiles", "2x1", "-vf", "crop=300:200:100:50"],
        ["-g", 2, "-lag-in-frames", 3],
        ["-usage", "good", "-g", 3, "-denoise-noise-level", 10],
    ],
)
def test_clips_with_threads_tiles_and_inter_frames(libaom: Libraries, tmp_path: Path, options: list[object]) -> None:
    needs("ffmpeg", "ffmpeg")
    clip, stats = tmp_path / "clip.y4m", tmp_path / "stats"
    pan = ["ffmpeg", "-loglevel", "error", "-loop", 1, "-i", CHELSEA, "-frames:v", 5, "-pix_fmt", "yuv420p"]
    run([*pan, "-vf", "crop=400:260:x='n*4':y=10", clip], libaom.aom.parent)
    outputs = [tmp_path / "a.ivf", tmp_path / "b.ivf"]
    for output in outputs:
        command = ffmpeg(output, clip, *options, frames=5)
        assert run(command, libaom.aom.parent, AV1PART_PIPELINE=PHOTO, AV1PART_STATS=stats).stderr == ""
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    first, second = (json.loads(line) for line in stats.read_text().splitlines())
    assert first == second
    assert first["pruned_frames"] == first["key_frames"] >= 1
    with av.open(str(outputs[0])) as container:
        assert len(list(container.decode(video=0))) == 5


def test_key_frames_and_inter_frames_have_pruners_of_their_own(libaom: Libraries, tmp_path: Path) -> None:
    needs("ffmpeg", "ffmpeg")
    made = toy_folder(tmp_path / "inter", libaom, toy_pruner(ALL, loss=-9.0, time=9.0), frame_kind="inter")
    clip, stats = tmp_path / "clip.y4m", tmp_path / "stats"
    pan = ["ffmpeg", "-loglevel", "error", "-loop", 1, "-i", CHELSEA, "-frames:v", 6, "-pix_fmt", "yuv420p"]
    run([*pan, "-vf", "crop=300:200:x='n*4':y=10", clip], libaom.aom.parent)
    packets = []
    for name, keyint, variables in (
        ("stock", 30, {}),
        ("inter", 30, {"AV1PART_PIPELINE": made, "AV1PART_STATS": stats}),
        ("key", 0, {"AV1PART_PIPELINE": made, "AV1PART_STATS": stats}),
        ("both", 30, {"AV1PART_PIPELINE": f"{PHOTO}:{made}", "AV1PART_STATS": stats}),
        ("photo", 30, {"AV1PART_PIPELINE": PHOTO}),
    ):
        command = ffmpeg(tmp_path / f"{name}.ivf", clip, "-g", keyint, "-lag-in-frames", 4, frames=6)
        said = run(command, libaom.aom.parent, **variables).stderr
        assert ("no pruner for" in said) == (name == "key"), said
        with av.open(str(tmp_path / f"{name}.ivf")) as container:
            packets.append([bytes(packet) for packet in container.demux() if packet.size])
        with av.open(str(tmp_path / f"{name}.ivf")) as container:
            assert len(list(container.decode(video=0))) == 6
    assert packets[0][0] == packets[1][0], "the key frame"
    assert packets[0] != packets[1]
    assert packets[3][0] == packets[4][0] != packets[0][0], "a pruner for each kind of frames"
    assert packets[3][1:] != packets[4][1:]
    counts, both = (json.loads(line) for line in stats.read_text().splitlines())
    assert counts["pruned_frames"] == counts["inter_frames"] >= 5
    assert "key_frames" not in counts
    assert both["pruned_frames"] == both["inter_frames"] + both["key_frames"]
    assert both["key_frames"] == 1
    assert all(own["asked"] == own["skipped"] > 0 for own in counts["decisions"].values())


def test_inter_frames_of_another_bit_depth_than_was_learnt_are_libaom_s_own(libaom: Libraries, tmp_path: Path) -> None:
    needs("ffmpeg", "ffmpeg")
    made = toy_folder(tmp_path / "inter", libaom, toy_pruner(ALL, loss=-9.0, time=9.0), frame_kind="inter")
    clip = tmp_path / "clip.y4m"
    pan = ["ffmpeg", "-loglevel", "error", "-loop", 1, "-i", CHELSEA, "-frames:v", 3, "-pix_fmt", "yuv420p"]
    run([*pan, "-vf", "crop=300:240:x='n*4':y=10", clip], libaom.aom.parent)
    streams = []
    for name, variables in (("stock", {}), ("pruner", {"AV1PART_PIPELINE": made})):
        command = ffmpeg(tmp_path / f"{name}.ivf", clip, "-g", 30, "-pix_fmt", "yuv420p10le", frames=3)
        said = run(command, libaom.aom.parent, **variables).stderr
        assert ("no pruner for 10 bit" in said and "this one: 8 bit," in said) == (name == "pruner")
        streams.append((tmp_path / f"{name}.ivf").read_bytes())
    assert streams[0] == streams[1]


def test_two_passes_give_the_same_pruned_frames(libaom: Libraries, tmp_path: Path) -> None:
    needs("ffmpeg", "ffmpeg")
    stats, log = tmp_path / "stats", tmp_path / "passes"
    for number, output in ((1, Path(os.devnull)), (2, tmp_path / "out.ivf")):
        command = ffmpeg(output, CHELSEA, "-pass", number, "-passlogfile", log)
        assert run(command, libaom.aom.parent, AV1PART_PIPELINE=PHOTO, AV1PART_STATS=stats).stderr == ""
    assert [json.loads(line)["pruned_frames"] for line in stats.read_text().splitlines()] == [1]


@pytest.mark.parametrize("samples", ["yuv420p10le", "yuv444p"])
def test_one_pruner_serves_what_its_card_shows_of_10_bit_and_4_4_4(
    libaom: Libraries, tmp_path: Path, samples: str
) -> None:
    needs("ffmpeg", "ffmpeg")
    command = ffmpeg(tmp_path / "out.ivf", CHELSEA, "-pix_fmt", samples)
    stats = tmp_path / "stats"
    assert run(command, libaom.aom.parent, AV1PART_PIPELINE=PHOTO, AV1PART_STATS=stats).stderr == ""
    assert json.loads(stats.read_text())["pruned_frames"] == 1


def test_what_no_pruner_was_made_for_is_libaom_s_own_with_one_line(
    libaom: Libraries, plain: Path, tmp_path: Path
) -> None:
    needs("ffmpeg", "ffmpeg")
    for options, reason in (
        (["-cpu-used", 4], "8 bit, 4:2:0, usage good, cpu-used 4"),
        (["-pix_fmt", "yuv422p"], "8 bit, 4:2:2, usage good, cpu-used 2"),
        (["-tune", "ssim"], "4-way on, tune ssim"),
        (["-pix_fmt", "yuv420p12le"], "12 bit, 4:2:0"),
        (["-pix_fmt", "gray"], "8 bit, monochrome"),
        (["-usage", "allintra"], "usage allintra"),
        (["-aom-params", "enable-1to4-partitions=0"], "4-way off"),
    ):
        outputs = tmp_path / "stock.ivf", tmp_path / "ours.ivf"
        run(ffmpeg(outputs[0], CHELSEA, *options), plain)
        found = run(ffmpeg(outputs[1], CHELSEA, *options), libaom.aom.parent, AV1PART_PIPELINE=PHOTO)
        assert found.stderr.count("av1part: coded as by libaom alone: no pruner for") == found.stderr.count("\n") == 1
        assert reason in found.stderr
        assert "this one: 8 or 10 bit, 4:2:0, usage good, each cpu-used of 123, 4-way on" in found.stderr
        assert outputs[0].read_bytes() == outputs[1].read_bytes()
    deep = ffmpeg(tmp_path / "deep.ivf", CHELSEA, "-pix_fmt", "yuv444p10le")
    said = run(deep, libaom.aom.parent, AV1PART_PIPELINE=PHOTO).stderr
    assert "no pruner for 10 bit, 4:4:4, usage good, cpu-used 2, 4-way on (this one: 8 bit, 4:4:4, usage good" in said


def test_a_pruner_that_is_damaged_or_not_there_prunes_nothing(libaom: Libraries, plain: Path, tmp_path: Path) -> None:
    needs("ffmpeg", "ffmpeg")

    def damaged(name: str, file: str, old: bytes, new: bytes) -> Path:
        shutil.copytree(PHOTO, tmp_path / name)
        target = tmp_path / name / file
        assert old in target.read_bytes()
        target.write_bytes(target.read_bytes().replace(old, new, 1))
        return tmp_path / name

    run(ffmpeg(tmp_path / "stock.ivf"), plain)
    byte = (PHOTO / "pruner.bin").read_bytes()[5000:5008]
    other = {"bit_depth": 8, "version": EARLIER}
    for variables, reason in (
        ({"AV1PART_PIPELINE": tmp_path / "none"}, "none/hook.txt: No such file"),
        ({"AV1PART_PIPELINE": damaged("a", "pruner.bin", byte, byte[::-1])}, "pruner.bin: changed since it was made"),
        ({"AV1PART_PIPELINE": damaged("b", "hook.txt", b"price 0.03", b"price 0.93")}, "not as it was written"),
        ({"AV1PART_PIPELINE": damaged("c", "hook.txt", b"check", b"chick")}, "not as it was written"),
        ({"AV1PART_PIPELINE": damaged("d", "hook.txt", b"\n", b"\n\n")}, "not as it was written"),
        (
            {"AV1PART_PIPELINE": toy_folder(tmp_path / "e", libaom, toy_pruner(ALL, -5.0, 5.0), **other)},
            f"made for libaom {EARLIER}, this is {IN_USE}",
        ),
        ({"AV1PART_PIPELINE": damaged("f", "card.txt", b"speeds ", b"speeds 0")}, "card.txt: not as it was written"),
        ({"AV1PART_PIPELINE": f"{PHOTO}:{tmp_path / 'none'}"}, "none/hook.txt: No such file"),
        ({"AV1PART_PIPELINE": PHOTO, "AV1PART_PRICE": "cheap"}, "AV1PART_PRICE: expected a number above 0"),
    ):
        found = run(ffmpeg(tmp_path / "ours.ivf"), libaom.aom.parent, **variables)
        assert found.stderr.startswith("av1part: coded as by libaom alone: ")
        assert found.stderr.count("\n") == 1
        assert reason in found.stderr
        assert (tmp_path / "ours.ivf").read_bytes() == (tmp_path / "stock.ivf").read_bytes()


def test_it_serves_the_speeds_at_which_its_card_shows_a_gain(libaom: Libraries, tmp_path: Path) -> None:
    needs("ffmpeg", "ffmpeg")
    without = toy_folder(tmp_path / "without", libaom, toy_pruner(ALL, -5.0, 5.0))
    for speed in (1, 2, 3):
        stats = tmp_path / f"stats{speed}"
        command = ffmpeg(tmp_path / "out.ivf", cpu_used=speed)
        assert run(command, libaom.aom.parent, AV1PART_PIPELINE=PHOTO, AV1PART_STATS=stats).stderr == ""
        assert json.loads(stats.read_text())["pruned_frames"] == 1
        alone = run(command, libaom.aom.parent, AV1PART_PIPELINE=without).stderr
        assert ("each cpu-used of 2," in alone) == (speed != 2)


def test_avifenc_takes_the_pruner_for_all_intra(libaom: Libraries, plain: Path, tmp_path: Path) -> None:
    needs("avifenc", "libavif-bin")
    made = toy_folder(tmp_path / "toy", libaom, toy_pruner(ALL, -5.0, 5.0), usage="allintra", cpu_used=4)
    picture, stats = tmp_path / "cat.png", tmp_path / "stats"
    crop = next(av.open(str(CHELSEA)).decode(video=0)).to_image().crop((100, 100, 292, 228))
    crop.save(picture)
    outputs = [tmp_path / f"{name}.avif" for name in ("stock", "off", "on")]
    command = ["avifenc", "-s", 4, "-y", 420, "--min", 30, "--max", 30, "--jobs", 1, "-c", "aom", picture]
    run([*command, outputs[0]], plain)
    run([*command, outputs[1]], libaom.aom.parent)
    found = run([*command, outputs[2]], libaom.aom.parent, AV1PART_PIPELINE=f"{PHOTO}:{made}", AV1PART_STATS=stats)
    assert "av1part" not in found.stderr
    assert outputs[0].read_bytes() == outputs[1].read_bytes() != outputs[2].read_bytes()
    assert json.loads(stats.read_text())["pruned_frames"] == 1
    with av.open(str(outputs[2])) as container:
        assert len(list(container.decode(video=0))) == 1


def test_gstreamer_is_pruned(libaom: Libraries, tmp_path: Path) -> None:
    needs("gst-launch-1.0", "gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-bad")
    if subprocess.run(["gst-inspect-1.0", "av1enc"], capture_output=True, check=False).returncode:
        pytest.skip("GStreamer has no av1enc: apt-get install gstreamer1.0-plugins-bad")
    source = ["videotestsrc", "num-buffers=3", "!", "video/x-raw,format=I420,width=192,height=128"]
    encoder = ["!", "av1enc", "cpu-used=2", "!", "filesink", f"location={tmp_path / 'out.obu'}"]
    stats = tmp_path / "stats"
    command = ["gst-launch-1.0", "-q", *source, *encoder]
    run(command, libaom.aom.parent, AV1PART_PIPELINE=PHOTO, AV1PART_STATS=stats, GST_REGISTRY=tmp_path / "registry")
    assert json.loads(stats.read_text())["pruned_frames"] >= 1
    assert (tmp_path / "out.obu").stat().st_size > 100


def test_the_command_runs_a_host_and_says_what_was_pruned(libaom: Libraries, tmp_path: Path) -> None:
    needs("ffmpeg", "ffmpeg")
    words = ["run", "--pipeline", "photo-8bit", "--stats", str(tmp_path / "stats"), "--"]
    found = cli(*words, *map(str, ffmpeg(tmp_path / "on.ivf")))
    assert found.exit_code == 0
    assert "av1part: 1 of 1 key frames pruned, " in found.stderr
    before = (tmp_path / "stats").read_text()
    found = cli(*words, *map(str, ffmpeg(tmp_path / "other.ivf", cpu_used=4)))
    assert "nothing was pruned" in found.stderr
    assert (tmp_path / "stats").read_text() == before
    assert cli("run", "--no-pipeline", "--", *map(str, ffmpeg(tmp_path / "off.ivf"))).stderr == ""
    run(ffmpeg(tmp_path / "stock.ivf"), libaom.aom.parent)
    assert (tmp_path / "off.ivf").read_bytes() == (tmp_path / "stock.ivf").read_bytes()
    assert cli("run", "--no-pipeline", "--price", "0.1", "--", "true").exit_code == 2
    assert cli("run", "--quiet", "--", "sh", "-c", "exit 7").exit_code == 7
    assert cli("run", "--", "sh", "-c", "kill -9 $$").exit_code == 137
    fails(cli("run", "--", "no-such-encoder"), "no-such-encoder: no such command")
    fails(cli("run", "--price", "0", "--", "true"), "expected numbers above 0")
    fails(cli("run", "--price", "50000", "--", "true"), "50000.0: expected above 0 and below 1000")
    for place, said in ((tmp_path / "none" / "stats", "no such file"), (tmp_path, "a folder, expected a file")):
        fails(cli("run", "--stats", str(place), "--", "touch", str(tmp_path / "ran")), str(place), said)
    assert not (tmp_path / "ran").exists()
    shutil.copytree(PHOTO, tmp_path / "a:b")
    fails(cli("run", "--pipeline", str(tmp_path / "a:b"), "--", "true"), "a colon separates pruners")


def test_a_price_is_that_of_the_command_and_a_line_that_a_full_disk_cut_short_is_left_out(
    libaom: Libraries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AV1PART_PRICE", "7")
    line = '{"key_frames":3,"pruned_frames":2,"decisions":{}}'
    script = f"echo price=$AV1PART_PRICE > said; echo '{line}' >> $AV1PART_STATS; printf '{line[:9]}' >> $AV1PART_STATS"
    monkeypatch.chdir(tmp_path)
    for options, price in (((), ""), (("--price", "0.25"), "0.25")):
        assert "2 of 3 key frames pruned" in done("run", *options, "--", "sh", "-c", script).stderr
        assert (tmp_path / "said").read_text() == f"price={price}\n"


def test_the_library_is_installed_whole_and_replaces_nothing_unasked(libaom: Libraries, tmp_path: Path) -> None:
    said = done("encoder", "install", "--prefix", str(tmp_path)).output
    target = tmp_path / "lib" / "libaom.so.3"
    assert str(target) in said
    assert "Remove it" in said
    assert target.read_bytes() == libaom.aom.read_bytes()
    done("encoder", "install", "--prefix", str(tmp_path))
    target.write_bytes(b"the system's own")
    fails(cli("encoder", "install", "--prefix", str(tmp_path)), "another file is there")
    assert target.read_bytes() == b"the system's own"
    done("encoder", "install", "--prefix", str(tmp_path), "--overwrite")
    assert target.read_bytes() == libaom.aom.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["libaom.so.3"]


def test_the_library_is_not_installed_into_a_sealed_folder(libaom: Libraries, tmp_path: Path) -> None:
    sealed = tmp_path / "pruner"
    shutil.copytree(PHOTO, sealed)
    for prefix in (sealed, sealed / "new"):
        fails(cli("encoder", "install", "--prefix", prefix), "in a pruner", "which is sealed", "Choose another place")
    PrunerBundle.load(sealed)


@pytest.fixture(scope="module")
def program(libaom: Libraries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program of libaom's public interface that codes one picture with the settings of Encoder."""
    return build_host(libaom, tmp_path_factory.mktemp("program") / "host")


def test_a_program_of_libaom_gets_the_stream_of_the_encoder_in_python(
    libaom: Libraries, program: Path, tmp_path: Path
) -> None:
    source, target, planes = tmp_path / "in.yuv", tmp_path / "out.obu", frame(200, 136)
    source.write_bytes(b"".join(plane.tobytes() for plane in planes))
    run([program, 200, 136, 40, 2, source, target], libaom.aom.parent, AV1PART_PIPELINE=PHOTO)
    with Encoder(EncoderConfig(200, 136, cq=40, cpu_used=2, four_way=True)) as encoder:
        use_pruner(encoder, PrunerBundle.load(PHOTO))
        assert encoder.encode(planes).data == target.read_bytes()


def test_counts_that_cannot_be_written_are_told_and_the_stream_is_the_same(
    libaom: Libraries, program: Path, tmp_path: Path
) -> None:
    source, outputs = tmp_path / "in.yuv", [tmp_path / f"{number}.obu" for number in range(3)]
    source.write_bytes(b"".join(plane.tobytes() for plane in frame(200, 136)))
    for output, stats in zip(
        outputs, (tmp_path / "stats", Path("/dev/full"), tmp_path / "none" / "stats"), strict=True
    ):
        words = [program, 200, 136, 40, 2, source, output]
        said = run(words, libaom.aom.parent, AV1PART_PIPELINE=PHOTO, AV1PART_STATS=stats).stderr
        assert said == ("" if output == outputs[0] else f"av1part: AV1PART_STATS: {stats} cannot be written\n")
        assert output.read_bytes() == outputs[0].read_bytes()


@pytest.mark.parametrize("name", ["hook.txt", "card.txt", "pruner.bin"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_or_a_device_among_a_pruners_files_is_not_waited_for(
    libaom: Libraries, program: Path, picture: Path, tmp_path: Path, name: str, kind: str
) -> None:
    folder = Path(shutil.copytree(PHOTO, tmp_path / "pruner"))
    (folder / name).unlink()
    if kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to("/dev/zero")
    words = [program, 64, 64, 40, 2, picture, tmp_path / "out.obu"]
    found = run(words, libaom.aom.parent, AV1PART_PIPELINE=folder)
    assert found.stderr == f"av1part: coded as by libaom alone: {folder}/{name}: no ordinary file\n"


@pytest.mark.parametrize("read", [False, True])
def test_a_pipe_in_place_of_the_counts_is_not_waited_for(
    libaom: Libraries, program: Path, picture: Path, tmp_path: Path, read: bool
) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK) if read else None
    words = [program, 64, 64, 40, 2, picture, tmp_path / "out.obu"]
    found = run(words, libaom.aom.parent, AV1PART_PIPELINE=PHOTO, AV1PART_STATS=tmp_path / "pipe")
    assert found.stderr == f"av1part: AV1PART_STATS: {tmp_path}/pipe cannot be written\n"
    if reader is not None:
        os.close(reader)


CLOSING = """
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
int main(int count, char **words) {
  size_t before = 0, after = 0;
  for (int round = 0; round < 14; ++round) { /* what malloc keeps for reuse has its full size after ten */
    void *const library = dlopen(words[1], RTLD_NOW | RTLD_LOCAL);
    int (*run)(int, char **) = NULL;
    if (library) *(void **)&run = dlsym(library, "host_main");
    if (!run || run(count - 1, words + 1) || dlclose(library)) return 1;
    if (round == 9) before = mallinfo2().uordblks + mallinfo2().hblkhd;
    after = mallinfo2().uordblks + mallinfo2().hblkhd;
  }
  printf("%zd\\n", (ssize_t)(after - before) / 4);
  return 0;
}
"""


def test_a_library_that_is_closed_gives_its_memory_back(libaom: Libraries, picture: Path, tmp_path: Path) -> None:
    plugin = build_host(libaom, tmp_path / "plugin.so", "-shared", "-fPIC", "-Dmain=host_main")
    words = ["cc", "-D_GNU_SOURCE", "-x", "c", "-", "-ldl", "-o", tmp_path / "closing"]
    subprocess.run(words, input=CLOSING, text=True, check=True)
    own = [tmp_path / "closing", plugin, 64, 64, 40, 2, picture, tmp_path / "out.obu"]
    lost = {}
    for name, models in (("pruner", PHOTO), ("nothing", "")):
        found = run(own, libaom.aom.parent, AV1PART_PIPELINE=models)
        assert found.stderr == ""
        lost[name] = int(found.stdout)
    assert lost["pruner"] < lost["nothing"] + 1000, "bytes a round; pruner.bin alone has more"


def test_a_picture_coded_at_another_size_is_not_pruned(
    libaom: Libraries, plain: Path, program: Path, tmp_path: Path
) -> None:
    source, stock, ours = tmp_path / "in.yuv", tmp_path / "stock.obu", tmp_path / "ours.obu"
    source.write_bytes(b"".join(plane.tobytes() for plane in frame(200, 136)))
    words = [program, 200, 136, 40, 2, source]
    run([*words, stock, "superres"], plain)
    found = run([*words, ours, "superres"], libaom.aom.parent, AV1PART_PIPELINE=PHOTO)
    assert found.stderr == "av1part: coded as by libaom alone: no pruner for super-resolution or a resize mode\n"
    assert ours.read_bytes() == stock.read_bytes()


@pytest.fixture(scope="module")
def pipe(exported: Path, blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline for 8 bit, GOOD usage, cpu-used 2, whose policy removes something up to qindex 120."""
    path, luma = tmp_path_factory.mktemp("pipe") / "pipe", frame(200, 136)[0]
    settings = LIBAOM | {"cpu_used": 2}
    return random_pipeline(path, exported / "checkpoint.pt", blockset_8, luma, {"1": 0, "2": 0}, encoder=settings)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200x136 pixels of the cat, planes one after the other, as `program` reads them."""
    path = tmp_path_factory.mktemp("picture") / "in.yuv"
    path.write_bytes(b"".join(plane.tobytes() for plane in frame(200, 136)))
    return path


@pytest.mark.parametrize("with_pruner", [False, True])
def test_a_pipeline_masks_a_program_of_libaom_as_python_does(
    libaom: Libraries, program: Path, pipe: Path, picture: Path, tmp_path: Path, with_pruner: bool
) -> None:
    models = f"{PHOTO}:{pipe}" if with_pruner else pipe
    for number in range(2):
        words = [program, 200, 136, 28, 2, picture, tmp_path / f"{number}.obu"]
        variables = {"AV1PART_PIPELINE": models, "AV1PART_STATS": tmp_path / "stats"}
        assert run(words, libaom.aom.parent, AV1PART_ONNXRUNTIME=onnx_runtime(), **variables).stderr == ""
    with Encoder(EncoderConfig(200, 136, cq=28, cpu_used=2), numpy_masks([Pipeline.load(pipe, threads=1)])) as encoder:
        if with_pruner:
            use_pruner(encoder, PrunerBundle.load(PHOTO))
        expected = encoder.encode(frame(200, 136))
        decisions = named_counts(count_decisions(encoder))
    assert (tmp_path / "0.obu").read_bytes() == (tmp_path / "1.obu").read_bytes() == expected.data
    first, second = map(json.loads, (tmp_path / "stats").read_text().splitlines())
    assert first == second
    assert (first["masked_frames"], first["masked_nodes"]) == (1, expected.masked_nodes)
    assert (first["pruned_frames"], first["decisions"]) == (int(with_pruner), decisions)
    assert expected.masked_nodes > 10


def test_the_pruner_that_a_pipeline_holds_prunes_inside_its_masks(
    libaom: Libraries, program: Path, exported: Path, blockset_8: Path, pipe: Path, picture: Path, tmp_path: Path
) -> None:
    alone = toy_folder(tmp_path / "alone", libaom, toy_pruner(ALL, -5.0, 5.0))
    inside = PrunerBundle.load(alone)
    both = random_pipeline(
        tmp_path / "both", exported / "checkpoint.pt", blockset_8, frame(200, 136)[0], {"1": 0, "2": 0},
        encoder=LIBAOM | {"cpu_used": 2}, pruner=inside,
    )  # fmt: skip
    made, stats = {}, tmp_path / "stats"
    for name, models in (("inside", both), ("apart", f"{both}:{alone}"), ("masks", pipe)):
        words = [program, 200, 136, 28, 2, picture, tmp_path / f"{name}.obu"]
        more = {"AV1PART_ONNXRUNTIME": onnx_runtime(), "AV1PART_STATS": stats}
        assert run(words, libaom.aom.parent, AV1PART_PIPELINE=models, **more).stderr == ""
        made[name] = (tmp_path / f"{name}.obu").read_bytes()
    first, second, masks = map(json.loads, stats.read_text().splitlines())
    assert made["inside"] == made["apart"] != made["masks"]
    assert first == second
    assert (first["masked_frames"], first["pruned_frames"]) == (1, 1)
    assert (masks["masked_frames"], masks["pruned_frames"]) == (1, 0)
    words = list(map(str, [program, 200, 136, 28, 2, picture, tmp_path / "run.obu"]))
    said = done("run", "--pipeline", str(both), "--", *words).stderr
    assert "1 of 1 key frames pruned" in said
    assert "1 of 1 key frames masked" in said
    assert (tmp_path / "run.obu").read_bytes() == made["inside"]
    shutil.rmtree(both / "pruner")
    found = run(words, libaom.aom.parent, AV1PART_PIPELINE=both, AV1PART_ONNXRUNTIME=onnx_runtime())
    assert "both/pruner/hook.txt: No such file" in found.stderr


def test_the_command_masks_in_ffmpeg_as_python_does(libaom: Libraries, pipe: Path, tmp_path: Path) -> None:
    needs("ffmpeg", "ffmpeg")
    clip, stats = tmp_path / "clip.y4m", tmp_path / "stats"
    crop = ["ffmpeg", "-loglevel", "error", "-i", CHELSEA, "-vf", "crop=192:128:100:100", "-pix_fmt", "yuv420p"]
    run([*crop, clip], libaom.aom.parent)
    settings = ["-g", 0, "-lag-in-frames", 0, "-row-mt", 0, "-threads", 1, "-aom-params", "deltaq-mode=0", "-crf", 28]
    words = map(str, ffmpeg(tmp_path / "out.ivf", clip, *settings, "-vf", "null"))
    said = done("run", "--pipeline", str(pipe), "--stats", str(stats), "--", *words).stderr
    with Encoder(EncoderConfig(192, 128, cq=28, cpu_used=2), numpy_masks([Pipeline.load(pipe, threads=1)])) as encoder:
        planes = next(open_clip(clip).frames())
        expected = encoder.encode(planes)
    assert json.loads(stats.read_text())["masked_nodes"] == expected.masked_nodes > 10
    nodes = f"a part of the search taken away at {expected.masked_nodes} nodes"
    assert f"av1part: 1 of 1 key frames masked, {nodes}." in said
    decoded = next(open_clip(tmp_path / "out.ivf").frames())
    for plane, own in zip(decoded, expected.reconstruction, strict=True):
        np.testing.assert_array_equal(plane, own)


def test_masks_with_threads_tiles_inter_frames_and_two_encoders(libaom: Libraries, pipe: Path, tmp_path: Path) -> None:
    needs("ffmpeg", "ffmpeg")
    pan = ["ffmpeg", "-loglevel", "error", "-loop", 1, "-i", CHELSEA, "-frames:v", 3, "-pix_fmt", "yuv420p"]
    run([*pan, "-vf", "crop=400:260:x='n*4':y=10", tmp_path / "clip.y4m"], libaom.aom.parent)
    one = ["-c:v", "libaom-av1", "-cpu-used", 2, "-crf", 28, "-b:v", 0, "-threads", 4, "-row-mt", 1, "-tiles", "2x1"]
    one += ["-g", 2, "-lag-in-frames", 2, "-f", "ivf"]
    outputs = [tmp_path / f"{name}.ivf" for name in "abcd"]
    for pair in (outputs[:2], outputs[2:]):
        words = ["ffmpeg", "-loglevel", "error", "-i", tmp_path / "clip.y4m", *one, pair[0], *one, pair[1]]
        variables = {"AV1PART_PIPELINE": pipe, "AV1PART_STATS": tmp_path / "stats"}
        assert run(words, libaom.aom.parent, AV1PART_ONNXRUNTIME=onnx_runtime(), **variables).stderr == ""
    assert len({output.read_bytes() for output in outputs}) == 1
    counted = [json.loads(line) for line in (tmp_path / "stats").read_text().splitlines()]
    assert len(counted) == 4
    assert counted == counted[:1] * 4
    assert counted[0]["masked_frames"] == counted[0]["key_frames"] >= 1


def test_without_onnx_runtime_masks_are_left_out_with_one_line(
    libaom: Libraries, plain: Path, program: Path, pipe: Path, picture: Path, tmp_path: Path
) -> None:
    stock, pruned, ours = (tmp_path / f"{name}.obu" for name in ("stock", "pruned", "ours"))
    words = [program, 200, 136, 28, 2, picture]
    run([*words, stock], plain)
    run([*words, pruned], libaom.aom.parent, AV1PART_PIPELINE=PHOTO)
    for given, reason in (
        ("/none/libonnxruntime.so", "no ONNX Runtime (/none/libonnxruntime.so: cannot open shared object file"),
        (libaom.aom, "libaom.so.3: not ONNX Runtime, or of an unknown interface"),
    ):
        for models, consequence, expected in (
            (pipe, "coded as by libaom alone", stock),
            (f"{PHOTO}:{pipe}", "coded without masks", pruned),
        ):
            variables = {"AV1PART_PIPELINE": models, "AV1PART_ONNXRUNTIME": given}
            said = run([*words, ours], libaom.aom.parent, **variables).stderr
            assert said.startswith(f"av1part: {consequence}: ")
            assert reason in said
            assert said.count("\n") == 1
            assert ours.read_bytes() == expected.read_bytes()


def test_a_pipeline_that_is_damaged_or_no_network_masks_nothing(
    libaom: Libraries, plain: Path, program: Path, pipe: Path, picture: Path, tmp_path: Path
) -> None:
    def changed(name: str, model: bytes | None = None) -> Path:
        shutil.copytree(pipe, tmp_path / name)
        hook, graph = tmp_path / name / "hook.txt", tmp_path / name / "bundles" / "2" / "model.onnx"
        if model is None:
            hook.write_bytes(hook.read_bytes().replace(b"cpu_used 2", b"cpu_used 1"))
            return tmp_path / name
        old, facts = graph.read_bytes(), "size {} crc32 {:08x}"
        graph.write_bytes(model)
        text = hook.read_text().replace(
            facts.format(len(old), zlib.crc32(old)), facts.format(len(model), zlib.crc32(model))
        )
        body = text[: text.rindex("check ")]
        hook.write_text(f"{body}check {zlib.crc32(body.encode()):08x}\n")
        return tmp_path / name

    first = (pipe / "bundles" / "1" / "model.onnx").read_bytes()
    stock, ours, words = tmp_path / "stock.obu", tmp_path / "ours.obu", [program, 200, 136, 28, 2, picture]
    run([*words, stock], plain)
    for folder, reason in (
        (changed("hook"), "hook.txt: not as it was written"),
        (changed("nonsense", b"no graph at all"), "ONNX Runtime: "),
        (changed("other", first), "ONNX Runtime: "),
        (tmp_path / "none", "none/hook.txt: No such file"),
    ):
        variables = {"AV1PART_PIPELINE": folder, "AV1PART_ONNXRUNTIME": onnx_runtime()}
        said = run([*words, ours], libaom.aom.parent, **variables).stderr
        assert said.startswith("av1part: coded as by libaom alone: ")
        assert reason in said
        assert said.count("\n") == 1
        assert ours.read_bytes() == stock.read_bytes()
    fails(cli("run", "--pipeline", str(tmp_path / "hook"), "--", "true"), "does not say what the manifest says")


def test_what_no_pipeline_was_made_for_is_coded_without_masks_with_one_line(
    libaom: Libraries, plain: Path, pipe: Path, tmp_path: Path
) -> None:
    needs("ffmpeg", "ffmpeg")
    stock, ours = tmp_path / "stock.ivf", tmp_path / "ours.ivf"
    runtime = onnx_runtime()
    this = "(this one: 8 bit, 4:2:0, usage good, cpu-used 2, 4-way on)"
    others = (["-pix_fmt", "yuv420p10le"], ["-pix_fmt", "yuv444p"], ["-cpu-used", 1], ["-usage", "allintra"])
    for options in (*others, ["-tune", "ssim"]):
        run(ffmpeg(stock, CHELSEA, *options), plain)
        command = ffmpeg(ours, CHELSEA, *options)
        said = run(command, libaom.aom.parent, AV1PART_PIPELINE=pipe, AV1PART_ONNXRUNTIME=runtime).stderr
        assert said.startswith("av1part: coded as by libaom alone: no pipeline for ")
        assert said.endswith(f"{this}\n")
        assert ours.read_bytes() == stock.read_bytes()
    command = ffmpeg(ours, CHELSEA, "-cpu-used", 1)
    both = run(command, libaom.aom.parent, AV1PART_PIPELINE=f"{PHOTO}:{pipe}", AV1PART_ONNXRUNTIME=runtime).stderr
    assert both.startswith("av1part: coded without masks: no pipeline for 8 bit, 4:2:0, usage good, cpu-used 1, ")
    command = ffmpeg(ours, CHELSEA, "-cpu-used", 5)
    none = run(command, libaom.aom.parent, AV1PART_PIPELINE=f"{PHOTO}:{pipe}", AV1PART_ONNXRUNTIME=runtime).stderr
    assert none == (
        "av1part: coded as by libaom alone: no pruner or pipeline for 8 bit, 4:2:0, usage good, cpu-used 5, 4-way on\n"
    )


def test_a_pipeline_that_c_cannot_use_is_refused_by_the_command(pipe: Path, tmp_path: Path) -> None:
    shutil.copytree(pipe, tmp_path / "pipe")
    (tmp_path / "pipe" / "hook.txt").unlink()
    fails(cli("run", "--pipeline", str(tmp_path / "pipe"), "--", "true"), "has no hook.txt, so only Python can use it")


def test_each_reason_is_said_once(libaom: Libraries, tmp_path: Path) -> None:
    needs("ffmpeg", "ffmpeg")
    words: list[object] = ["ffmpeg", "-loglevel", "error", "-i", CHELSEA]
    for number, speed in enumerate((4, 5, 5)):
        words += ["-c:v", "libaom-av1", "-cpu-used", speed, "-vf", "crop=64:64", "-pix_fmt", "yuv420p"]
        words.append(tmp_path / f"{number}.ivf")
    said = run(words, libaom.aom.parent, AV1PART_PIPELINE=PHOTO).stderr.splitlines()
    assert ["cpu-used 4" in said[0], "cpu-used 5" in said[1], len(said)] == [True, True, 2]


def test_an_interrupt_lets_the_command_finish(libaom: Libraries, tmp_path: Path) -> None:
    """As from a terminal, which interrupts both: the command ends by itself, and its status is passed on."""
    script = "trap 'exit 5' INT; touch started; while :; do sleep 0.1; done"
    words = [sys.executable, "-c", "from toolkit.cli.main import main; main()", "run", "--", "bash", "-c", script]
    process = subprocess.Popen(
        words,
        cwd=tmp_path,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        # What is started in the background of a script ignores interrupts; a terminal's command does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        for _ in range(600):
            if (tmp_path / "started").exists():
                break
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert process.returncode == 5
    assert "nothing was pruned" in said


def heed_all() -> None:
    """Take back that a job in the background, or one under nohup, ignores some signals and hands that on."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start(tmp_path: Path, script: str, *options: str) -> "subprocess.Popen[str]":
    """Start `av1part run -- bash -c SCRIPT`, as a terminal would, and wait until the script runs."""
    words = [sys.executable, "-c", "from toolkit.cli.main import main; main()", "run", *options, "--"]
    process = subprocess.Popen(
        [*words, "bash", "-c", f"touch started; {script}"],
        cwd=tmp_path,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_all,
    )
    for _ in range(1200):
        if (tmp_path / "started").exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("name", ["INT", "HUP", "QUIT", "TERM", "USR1", "USR2"])
def test_every_signal_reaches_the_command_and_its_status_is_passed_on(
    libaom: Libraries, tmp_path: Path, name: str
) -> None:
    number = getattr(signal, f"SIG{name}")
    process = start(tmp_path, f"trap 'exit 9' {name}; touch trapped; while :; do sleep 0.05; done")
    try:
        while not (tmp_path / "trapped").exists() and process.poll() is None:
            time.sleep(0.05)
        os.kill(process.pid, number)
        _, said = process.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 9, said


def test_an_interrupt_at_a_terminal_reaches_the_command_once(libaom: Libraries, tmp_path: Path) -> None:
    """A terminal interrupts both, and a second interrupt would cut off a command that is finishing its file."""
    ours, terminal = os.openpty()
    script = "trap 'echo x >> ints' INT; touch trapped; until [ -e end ]; do sleep 0.05; done; exit 6"
    words = [sys.executable, "-c", "from toolkit.cli.main import main; main()", "run", "--", "bash", "-c", script]

    def control() -> None:
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = subprocess.Popen(
        words, cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        preexec_fn=control,
    )  # fmt: skip
    try:
        while not (tmp_path / "trapped").exists() and process.poll() is None:
            time.sleep(0.05)
        os.write(ours, b"\x03")
        while not (tmp_path / "ints").exists() and process.poll() is None:
            time.sleep(0.05)
        time.sleep(0.5)  # in which a second one would come
        (tmp_path / "end").touch()
        assert process.wait(timeout=60) == 6
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours)
        os.close(terminal)
    assert (tmp_path / "ints").read_text() == "x\n"


def test_no_command_outlives_the_one_that_runs_it(libaom: Libraries, tmp_path: Path) -> None:
    process = start(tmp_path, "echo $$ > pid; exec sleep 300")
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        time.sleep(0.05)
    process.kill()
    process.communicate()
    command = int((tmp_path / "pid").read_text())
    for _ in range(600):
        try:
            os.kill(command, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.kill(command, signal.SIGKILL)
    raise AssertionError("the command lives on")


def test_nothing_after_the_command_replaces_its_status(libaom: Libraries, tmp_path: Path) -> None:
    """A foreign line, counts that were removed, a file of counts that was removed, a full disk."""
    for script in ("echo hello >> $AV1PART_STATS", "rm -rf $(dirname $AV1PART_STATS)", "rm kept", "printf x > kept"):
        kept = tmp_path / "kept"
        words = ("run", "--stats", kept, "--", "sh", "-c", f"cd {tmp_path}; {script}; exit 7")
        assert cli(*words).exit_code == 7, script
    full = cli("run", "--stats", "/dev/full", "--", "sh", "-c", f"echo '{LINE}' >> $AV1PART_STATS; exit 7")
    assert full.exit_code == 7
    assert "1 of 1 key frames pruned" in full.stderr
    os.mkfifo(tmp_path / "pipe")
    fails(cli("run", "--stats", tmp_path / "pipe", "--", "touch", tmp_path / "ran"), "pipe")
    assert not (tmp_path / "ran").exists()


def test_what_was_not_pruned_is_counted_and_the_option_that_helps_is_named(libaom: Libraries, tmp_path: Path) -> None:
    needs("ffmpeg", "ffmpeg")
    clip = tmp_path / "clip.y4m"
    pan = ["ffmpeg", "-loglevel", "error", "-loop", 1, "-i", CHELSEA, "-frames:v", 6, "-pix_fmt", "yuv420p"]
    run([*pan, "-vf", "crop=96:64:x='n*4':y=10", clip], libaom.aom.parent)
    words = list(map(str, ffmpeg(tmp_path / "out.ivf", clip, "-vf", "null", "-g", 30, frames=6)))
    said = done("run", "--pipeline", "photo-8bit", "--", *words).stderr
    assert "1 of 1 key frames pruned" in said
    assert "The other 5 of all 6 frames, inter frames, are coded as by libaom alone." in said
    words = list(map(str, ffmpeg(tmp_path / "out.ivf", clip, "-vf", "null", "-pix_fmt", "yuv444p", cpu_used=5)))
    said = done("run", "--pipeline", "photo-8bit", "--", *words).stderr
    assert "nothing was pruned in ffmpeg: no pruner for 8 bit, 4:4:4, usage good, cpu-used 5" in said
    assert "To have it pruned: -cpu-used 3." in said
    assert f"libaom {libaom_version(load(libaom.hook))} took the place of " in said


def test_the_box_prunes_key_frames_and_inter_frames_of_a_clip_each_by_a_pruner_of_their_own(
    libaom: Libraries, tmp_path: Path
) -> None:
    needs("ffmpeg", "ffmpeg")
    clip = tmp_path / "clip.y4m"
    pan = ["ffmpeg", "-loglevel", "error", "-loop", 1, "-i", CHELSEA, "-frames:v", 6, "-pix_fmt", "yuv420p"]
    run([*pan, "-vf", "crop=96:64:x='n*4':y=10", clip], libaom.aom.parent)
    words = list(map(str, ffmpeg(tmp_path / "out.ivf", clip, "-vf", "null", "-g", 30, cpu_used=3, frames=6)))
    said = done("run", "--stats", tmp_path / "stats", "--", *words).stderr
    counts = json.loads((tmp_path / "stats").read_text())
    assert counts["key_frames"] == 1
    assert counts["inter_frames"] >= 5
    assert counts["pruned_frames"] == counts["key_frames"] + counts["inter_frames"]
    assert f"all {counts['pruned_frames']} coded frames pruned (6 shown)" in said


@pytest.mark.parametrize("form", ["sh", "lines"])
def test_with_the_variables_of_env_a_host_codes_as_under_run(libaom: Libraries, tmp_path: Path, form: str) -> None:
    needs("ffmpeg", "ffmpeg")
    printed = done("env", "--pipeline", "photo-8bit", "--format", form).stdout
    clean = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    if form == "sh":
        shell = ["sh", "-c", f"{printed}\nenv"]
        said = subprocess.run(shell, env=clean, capture_output=True, text=True, check=True).stdout
        given = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    else:
        given = clean | dict(line.split("=", 1) for line in printed.splitlines())
    assert given["AV1PART_PIPELINE"] == str(PHOTO)
    command = list(map(str, ffmpeg(tmp_path / "env.ivf", CHELSEA, frames=1)))
    subprocess.run(command, env=given | {"AV1PART_STATS": str(tmp_path / "stats")}, check=True, capture_output=True)
    assert json.loads((tmp_path / "stats").read_text())["pruned_frames"] == 1
    done("run", "--pipeline", "photo-8bit", "--", *map(str, ffmpeg(tmp_path / "run.ivf", CHELSEA, frames=1)))
    assert (tmp_path / "env.ivf").read_bytes() == (tmp_path / "run.ivf").read_bytes()


def test_env_hands_on_the_library_of_onnx_runtime_that_the_caller_has_chosen(
    libaom: Libraries, pipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that reads the lines knows nothing of the caller's environment."""
    monkeypatch.setenv("AV1PART_ONNXRUNTIME", str(tmp_path / "own.so"))
    assert f"AV1PART_ONNXRUNTIME={tmp_path / 'own.so'}\n" in done("env", "--pipeline", pipe, "--format", "lines").stdout


def test_avifenc_at_a_speed_without_a_search_says_so(libaom: Libraries, tmp_path: Path) -> None:
    needs("avifenc", "libavif-bin")
    picture = tmp_path / "cat.png"
    next(av.open(str(CHELSEA)).decode(video=0)).to_image().crop((100, 100, 164, 164)).save(picture)
    said = done(
        "run", "--", "avifenc", "-s", "8", "-y", "420", "-c", "aom", str(picture), str(tmp_path / "a.avif")
    ).stderr
    assert "nothing was pruned in avifenc: libaom searches no partitions for 8 bit, 4:2:0, usage allintra" in said
    assert "To have it pruned: -s 6." in said


@pytest.mark.parametrize(("depth", "pruned"), [(8, True), (10, False)])
def test_avifenc_is_pruned_at_the_bit_depths_that_the_card_has_as_encode_is(
    libaom: Libraries, tmp_path: Path, depth: int, pruned: bool
) -> None:
    needs("avifenc", "libavif-bin")
    picture = tmp_path / "cat.png"
    next(av.open(str(CHELSEA)).decode(video=0)).to_image().crop((100, 100, 228, 228)).save(picture)
    said = done("run", "--", "avifenc", "-d", depth, "-y", "420", "-c", "aom", picture, tmp_path / "a.avif").stderr
    own = done("encode", picture, "-o", tmp_path / "b.avif", "--chroma", "420", "--depth", depth).stderr
    assert ("1 of 1 key frames pruned" in said, "Pruner photo-allintra-6" in own) == (pruned, pruned)
    assert ("nothing was pruned in avifenc: no pruner for 10 bit, 4:2:0" in said) == (not pruned)
    assert ("To have it pruned: -d 8." in said) == (not pruned)


def test_a_full_disk_names_the_library_and_leaves_nothing(
    libaom: Libraries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    fails(cli("encoder", "install", "--prefix", str(tmp_path)), f"{tmp_path}/lib/libaom.so.3: the disk is full")
    assert list((tmp_path / "lib").iterdir()) == []
