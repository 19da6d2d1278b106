"""Clips as real files hold them: which stream, which frames, when each is shown, and what is said of the rest."""

import io
import json
import shlex
import shutil
import struct
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from support.commands import cli, done, fails
from support.pictures import frame

from integration.encoding.config import EncodeConfig
from integration.encoding.encode import encode_file
from integration.media.beside import look_beside
from integration.media.film import open_film
from integration.media.raw import RawFormat, raw_layout
from integration.media.raw_names import exact_rate, read_name
from integration.media.times import FrameTimes, Timeline
from integration.media.video import open_clip
from integration.media.whole import is_whole
from toolkit.data.splits import assign_splits
from toolkit.errors import ToolkitError

FAST = EncodeConfig(cq=55, cpu_used=6)
WIDTH, HEIGHT = 64, 48


def ffmpeg(*words: object) -> None:
    """Run ffmpeg, which the tests of files that it makes need."""
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("ffmpeg is not installed: apt-get install ffmpeg")
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, words)], check=True)


def probed(path: Path) -> dict[str, Any]:
    """What ffprobe says of the first video stream, its frames counted; `length` in seconds is the file's."""
    command = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0", "-show_streams", "-show_format"]
    found = json.loads(subprocess.run([*command, "-of", "json", path], capture_output=True, check=True).stdout)
    return {**found["streams"][0], "length": float(found["format"].get("duration", 0))}


def picture(number: int) -> av.VideoFrame:
    planes = np.concatenate([plane.ravel() for plane in frame(WIDTH, HEIGHT, left=100 + 2 * number)])
    return av.VideoFrame.from_ndarray(planes.reshape(HEIGHT * 3 // 2, WIDTH), "yuv420p")


def film(path: Path, starts: list[int], codec: str = "libx264", **of_stream: Any) -> Path:
    """Frames of 64x48 that start at these numbers of 25ths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for name, value in of_stream.items():
            setattr(stream.codec_context, name, value)
        for number, start in enumerate(starts):
            shown = picture(number)
            shown.pts, shown.time_base = start, Fraction(1, 25)
            container.mux(stream.encode(shown))
        container.mux(stream.encode())
    return path


def shown_at(path: Path) -> list[float]:
    """When the frames of a file are shown, in seconds."""
    with av.open(str(path)) as container:
        return [float(shown.time) for shown in container.decode(video=0)]


def first_in_moov(path: Path, name: bytes) -> Path:
    """Move a box of an MP4's moov box to its front, behind the header, so that FFmpeg comes to it first."""
    data = path.read_bytes()
    start = data.index(b"moov") - 4
    end = start + struct.unpack(">I", data[start : start + 4])[0]
    boxes, at = [], start + 8
    while at < end:
        size = struct.unpack(">I", data[at : at + 4])[0]
        boxes.append(data[at : at + size])
        at += size
    boxes.sort(key=lambda box: (box[4:8] != b"mvhd", box[4:8] != name))
    path.write_bytes(data[: start + 8] + b"".join(boxes) + data[end:])
    return path


def test_cover_art_before_the_clip_is_not_the_clip(tmp_path: Path) -> None:
    Image.new("RGB", (200, 200), "red").save(tmp_path / "cover.jpg")
    film(tmp_path / "clip.mp4", list(range(5)))
    both = ("-i", tmp_path / "cover.jpg", "-i", tmp_path / "clip.mp4", "-map", 0, "-map", 1, "-c", "copy")
    ffmpeg(*both, "-disposition:v:0", "attached_pic", tmp_path / "first.mp4")
    path = first_in_moov(tmp_path / "first.mp4", b"udta")
    assert probed(path)["codec_name"] == "mjpeg"
    clip = open_clip(path)
    assert (clip.width, clip.height, len(list(clip.frames()))) == (WIDTH, HEIGHT, 5)
    assert look_beside(path).left == ("cover art",)
    sound = ("-f", "lavfi", "-i", "sine=d=0.1", "-i", tmp_path / "cover.jpg", "-map", 0, "-map", 1, "-c:v", "copy")
    ffmpeg(*sound, "-disposition:v:0", "attached_pic", tmp_path / "song.mp4")
    with pytest.raises(ToolkitError, match="holds no video but cover art"):
        open_clip(tmp_path / "song.mp4")


@pytest.mark.parametrize(("sizes", "default", "taken"), [(("32x32", "64x48"), 0, 0), (("32x32", "64x48"), None, 1)])
def test_of_several_videos_the_one_that_ffmpeg_takes_is_read(
    tmp_path: Path, sizes: tuple[str, str], default: int | None, taken: int
) -> None:
    inputs = [word for size in sizes for word in ("-f", "lavfi", "-i", f"testsrc=s={size}:r=25:d=0.2")]
    marks = [word for i in (0, 1) for word in (f"-disposition:v:{i}", "default" if i == default else "0")]
    ffmpeg(*inputs, "-map", 0, "-map", 1, "-c:v", "mpeg4", "-pix_fmt", "yuv420p", *marks, tmp_path / "two.mkv")
    clip = open_clip(tmp_path / "two.mkv")
    assert f"{clip.width}x{clip.height}" == sizes[taken]
    assert look_beside(tmp_path / "two.mkv").left == ("1 other video track",)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_what_a_cut_without_coding_leaves_is_whole_and_less_of_it_is_not(tmp_path: Path, ending: str) -> None:
    film(tmp_path / "long.mp4", list(range(40)), options={"preset": "ultrafast", "bf": "2", "g": "24"})
    for name, words in {"early": (), "short": ("-t", "0.5")}.items():
        cut = tmp_path / f"{name}{ending}"
        ffmpeg("-ss", "0.77", "-i", tmp_path / "long.mp4", *words, "-c", "copy", cut)
        assert len(list(open_clip(cut).frames())) == int(probed(cut)["nb_read_frames"]) > 0
        broken = tmp_path / f"broken{ending}"
        for share in (0.5, 0.95):
            broken.write_bytes(cut.read_bytes()[: int(share * cut.stat().st_size)])
            assert not is_whole(broken)
            with pytest.raises(ToolkitError, match=r"cut short|not readable|damaged|holds no video"):
                list(open_clip(broken).frames())


def test_a_long_last_frame_of_matroska_is_whole_and_as_long_in_the_output(tmp_path: Path, libaom: object) -> None:
    film(tmp_path / "clip.mp4", [0, 1, 2, 3])
    slow = (
        "-itsscale",
        1,
        "-i",
        tmp_path / "clip.mp4",
        "-c",
        "copy",
        "-bsf:v",
        "setts=duration='if(eq(N,3),12800,512)'",
    )
    ffmpeg(*slow, tmp_path / "last.mkv")
    assert probed(tmp_path / "last.mkv")["length"] > 1
    assert len(list(open_clip(tmp_path / "last.mkv").frames())) == 4
    encode_file(tmp_path / "last.mkv", tmp_path / "out.mp4", FAST)
    assert probed(tmp_path / "out.mp4")["length"] == pytest.approx(probed(tmp_path / "last.mkv")["length"], abs=0.01)


def without(avi: Path, *dropped: int) -> Path:
    """Empty these frames of an AVI file, as a capture that drops frames does: their chunks hold nothing."""
    data = avi.read_bytes()
    movi, index = data.index(b"movi"), data.index(b"idx1")
    chunks, at = [], movi + 4
    while at < index:
        size = struct.unpack("<I", data[at + 4 : at + 8])[0]
        chunks.append(data[at : at + 8 + size + size % 2])
        at += len(chunks[-1])
    videos = [number for number, chunk in enumerate(chunks) if chunk[2:4] == b"dc"]
    for drop in dropped:
        chunks[videos[drop]] = b"00dc" + bytes(4)
    entries, place = b"", 4
    for number, chunk in enumerate(chunks):
        flags = 16 if number == 0 else 0
        entries += chunk[:4] + struct.pack("<3I", flags, place, struct.unpack("<I", chunk[4:8])[0])
        place += len(chunk)
    body = b"".join(chunks)
    listed = data[: movi - 4] + struct.pack("<I", 4 + len(body)) + b"movi" + body
    whole = listed + b"idx1" + struct.pack("<I", len(entries)) + entries
    avi.write_bytes(whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:])
    return avi


@pytest.mark.parametrize("dropped", [(3,), (3, 4), (8, 9), (2, 9)])
def test_a_null_frame_of_avi_repeats_the_frame_before(tmp_path: Path, dropped: tuple[int, ...]) -> None:
    whole = [y for y, _, _ in open_clip(film(tmp_path / "whole.avi", list(range(10)), "mjpeg")).frames()]
    path = without(film(tmp_path / "null.avi", list(range(10)), "mjpeg"), *dropped)
    expected = list(range(10))
    for number in sorted(dropped):
        expected[number] = expected[number - 1]
    read = [y for y, _, _ in open_clip(path).frames()]
    np.testing.assert_array_equal(read, [whole[number] for number in expected])
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ToolkitError, match="cut short"):
        list(open_clip(path).frames())


STARTS = [0, 1, 2, 3, 8, 9, 20, 40, 41, 42]
"""Of a clip that lasts 43 / 25 seconds."""


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip whose frames do not come at a constant rate."""
    return film(tmp_path_factory.mktemp("uneven") / "uneven.mp4", STARTS)


@pytest.mark.parametrize("ending", [".ivf", ".mp4", ".mkv", ".webm", ".obu"])
@pytest.mark.parametrize(("keyint", "lag"), [(1, 0), (30, 19)])
@pytest.mark.usefixtures("libaom")
def test_frames_are_shown_when_the_source_shows_them(
    uneven: Path, tmp_path: Path, ending: str, keyint: int, lag: int, caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / f"out{ending}"
    encode_file(uneven, output, EncodeConfig(cq=55, cpu_used=6, keyint=keyint, lag=lag))
    if ending == ".obu":
        assert "do not come at a constant rate, and .obu holds no times" in caplog.text
        return
    assert not caplog.text
    assert shown_at(output) == pytest.approx([start / 25 for start in STARTS], abs=0.0011)
    if shutil.which("ffprobe"):
        assert probed(output)["length"] == pytest.approx(43 / 25, abs=0.002)
        assert int(probed(output)["nb_read_frames"]) == len(STARTS)
    again = open_clip(output)
    assert len(list(again.frames())) == len(STARTS)
    assert float(again.span(9)[1]) == pytest.approx(43 / 25, abs=0.02)


@pytest.mark.usefixtures("libaom")
def test_frames_with_repeat_flags_last_longer(tmp_path: Path) -> None:
    """As soft pulldown does: frames without time stamps, each as long as its repeat flag says."""
    line = Timeline[int](times := FrameTimes(Fraction(30000, 1001), Fraction(1, 90000)))
    lengths = [Fraction(4504, 90000), Fraction(3003, 90000)] * 2
    given = [one for number, lasts in enumerate(lengths) for one in line.add(number, None, lasts)] + line.finish()
    assert given == [0, 1, 2, 3]
    assert [float(times.span(n)[0]) for n in range(4)] == pytest.approx([0, 0.05005, 0.08342, 0.13346], abs=1e-4)
    assert float(times.span(3)[1]) == pytest.approx(0.16683, abs=1e-4)


def test_times_rounded_by_a_container_become_those_of_the_rate() -> None:
    times = FrameTimes(Fraction(30000, 1001), Fraction(1, 1000))
    for number, stamp in enumerate([0, 33, 67, 100, 133]):
        times.note(number, Fraction(stamp, 1000), Fraction(stamp + 33, 1000))
    assert times.are_even(5)
    times.note(5, Fraction(180, 1000), Fraction(213, 1000))
    assert times.span(5)[0] == Fraction(180, 1000)
    assert not times.are_even(6)


@pytest.mark.parametrize(
    ("name", "rate", "depth", "layout"),
    [
        ("desktop_416x240_60_8bit_444", 60, 8, "4:4:4"),
        ("park_1280x720_50", 50, None, None),
        ("a_1920x1080_29.97_10bit", Fraction(30000, 1001), 10, None),
        ("ducks_1080p5994", Fraction(60000, 1001), None, None),
        ("aerial_4096x2160_60fps_10bit_420", 60, 10, None),
        ("b_1920x1080_25fps_yuv422p10le", 25, 10, "4:2:2"),
        ("c_352x288_23.976fps_nv12", Fraction(24000, 1001), None, "nv12"),
        ("crowd_352x288_300", None, None, None),
        ("clip", None, None, None),
    ],
)
def test_the_name_of_a_raw_file_says_rate_depth_and_layout(
    name: str, rate: Fraction | None, depth: int | None, layout: str | None
) -> None:
    named = read_name(Path(f"{name}.yuv"))
    assert (named.rate, named.bit_depth, named.layout) == (rate, depth, layout)


def raw(path: Path, frames: int, layout: str = "4:2:0") -> Path:
    """Frames of 64x48 of this layout, 8 bit."""
    with path.open("wb") as file:
        for number in range(frames):
            y, u, v = frame(WIDTH, HEIGHT, left=100 + number)
            across, down = {"4:2:0": (1, 1), "4:2:2": (1, 2), "4:4:4": (2, 2)}[layout]
            chroma = [np.repeat(np.repeat(plane, down, 0), across, 1) for plane in (u, v)]
            file.writelines(plane.tobytes() for plane in (y, *chroma))
    return path


@pytest.mark.parametrize("layout", ["4:4:4", "4:2:2"])
def test_samples_of_another_layout_are_refused_by_name(tmp_path: Path, layout: str) -> None:
    named = raw(tmp_path / f"a b_64x48_50_{layout.replace(':', '')}.yuv", 8, layout)
    for command in ("encode", "label"):
        refused = cli(command, named, "--raw", "64x48", "-o", tmp_path / "out.ivf")
        fails(refused, f"its name says {layout}", "-framerate 50")
    advice = refused.output.partition("Convert it first: ")[2].partition(";")[0]
    assert shlex.split(advice.replace("\n", " "))[-1] == str(named.with_name(f"{named.stem}-420.mkv"))
    ffmpeg(*shlex.split(advice.replace("\n", " "))[1:])
    converted = open_clip(named.with_name(f"{named.stem}-420.mkv"))
    assert (len(list(converted.frames())), converted.rate) == (8, 50)


def test_a_file_that_holds_whole_frames_of_another_layout_says_which(tmp_path: Path) -> None:
    path = raw(tmp_path / "one.yuv", 1, "4:2:2")
    with pytest.raises(ToolkitError, match=r"no whole number .* \(they would be 1 of 4:2:2 or 2 of 4:0:0\)"):
        open_clip(path, raw=RawFormat(WIDTH, HEIGHT))


def test_true_420_raises_no_doubt(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    open_clip(raw(tmp_path / "true.yuv", 12), raw=RawFormat(WIDTH, HEIGHT))
    assert not caplog.text


@pytest.mark.usefixtures("libaom")
def test_a_raw_clip_is_written_at_the_rate_of_its_name_or_of_raw_or_a_line_says_30(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rates = {("a_64x48_50.yuv", "64x48"): 50, ("b.yuv", "64x48@25"): 25, ("c.yuv", "64x48"): 30}
    for (name, layout), rate in rates.items():
        path, output = raw(tmp_path / name, 3), tmp_path / f"{name}.mp4"
        encode_file(path, output, EncodeConfig(cq=55, cpu_used=6, raw=layout))
        assert open_clip(output).rate == rate
    assert [message for message in caplog.messages if "frame rate" in message] == [
        f"{tmp_path / 'c.yuv'}: Neither its name nor --raw says a frame rate: 30 a second, as --raw 64x48@30 would say."
    ]
    for bad in ("64x48@0", "64x48@", "64x48@fast", "64x48@1000"):
        with pytest.raises(ToolkitError, match="frames a second, expected 1 to 300"):
            RawFormat.parse(bad)
    assert exact_rate("30000/1001") == Fraction(30000, 1001)


def test_a_bit_depth_that_the_name_contradicts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="its name says 10 bit, --raw says 8: 64x48:10 is meant"):
        raw_layout(tmp_path / "a_64x48_10bit.yuv", "64x48")
    assert raw_layout(tmp_path / "a_64x48_10bit.yuv", "64x48:10") == RawFormat(64, 48, 10)


def test_tables_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    table = tmp_path / "table.tsv"
    table.write_text("a.yuv\t64x48\n", encoding="utf-8-sig")
    assert raw_layout(tmp_path / "a.yuv", str(table)) == RawFormat(64, 48)
    table.write_text("a\ttest\n", encoding="utf-8-sig")
    assert assign_splits(["a"], str(table)) == {"a": "test"}


def test_the_advice_for_10_bit_422_keeps_10_bit_and_the_sound_and_quotes_the_name(tmp_path: Path) -> None:
    path = tmp_path / "ten bit.mov"
    made = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=0.2", "-f", "lavfi", "-i", "sine=d=0.2")
    ffmpeg(*made, "-c:v", "prores_ks", "-pix_fmt", "yuv422p10le", "-c:a", "pcm_s16le", path)
    with pytest.raises(ToolkitError, match="pixel format yuv422p10le") as caught:
        open_clip(path)
    ffmpeg(*shlex.split(caught.value.message.partition("Convert it first: ")[2])[1:])
    converted = tmp_path / "ten bit-420.mkv"
    assert (open_clip(converted).bit_depth, look_beside(converted).sound) == (10, ("pcm_s16le",))


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm", ".ivf"])
@pytest.mark.usefixtures("libaom")
def test_the_aspect_of_samples_and_the_chroma_position_are_carried_over(
    tmp_path: Path, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = film(tmp_path / "in.mp4", [0, 1], sample_aspect_ratio=Fraction(16, 15))
    output = tmp_path / f"out{ending}"
    encode_file(source, output, FAST)
    if shutil.which("ffprobe"):
        assert probed(output)["chroma_location"] == "left"
    if ending == ".mp4":
        assert look_beside(output).aspect == Fraction(16, 15)
    assert ("its samples' aspect of 16:15" in caplog.text) == (ending != ".mp4")


@pytest.mark.usefixtures("libaom")
def test_title_and_chapters_are_carried_over_or_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    film(tmp_path / "clip.mp4", list(range(10)))
    notes = tmp_path / "notes.txt"
    notes.write_text(";FFMETADATA1\ntitle=A walk\n[CHAPTER]\nTIMEBASE=1/10\nSTART=0\nEND=2\ntitle=One\n"
                     "[CHAPTER]\nTIMEBASE=1/10\nSTART=2\nEND=4\ntitle=Two\n")  # fmt: skip
    ffmpeg("-i", tmp_path / "clip.mp4", "-i", notes, "-map_metadata", 1, "-c", "copy", tmp_path / "in.mkv")
    for ending in (".mp4", ".mkv"):
        encode_file(tmp_path / "in.mkv", tmp_path / f"out{ending}", FAST)
        beside = look_beside(tmp_path / f"out{ending}")
        times = [float(chapter["start"] * chapter["time_base"]) for chapter in beside.chapters if chapter["time_base"]]
        assert (beside.title, times) == ("A walk", [0, 0.2])
        assert [chapter["metadata"]["title"] for chapter in beside.chapters] == ["One", "Two"]
    assert not caplog.text
    encode_file(tmp_path / "in.mkv", tmp_path / "out.ivf", FAST)
    assert "Not carried over: the title, 2 chapters." in caplog.text


@pytest.mark.usefixtures("libaom")
def test_interlaced_frames_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = tmp_path / "in.mp4"
    made = ("-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=0.2", "-pix_fmt", "yuv420p", "-c:v", "libx264")
    ffmpeg(*made, "-x264opts", "tff=1", "-flags", "+ilme+ildct", source)
    encode_file(source, tmp_path / "out.mp4", FAST)
    assert "interlaced (top field first): they are coded as whole frames" in caplog.text


@pytest.mark.usefixtures("libaom")
def test_sound_and_rotation_beside_frames_that_carry_exif_are_seen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exif, wave = Image.Exif(), np.zeros((1, 960), np.int16)
    exif[0x010F] = "Maker"
    with av.open(str(tmp_path / "in.mov"), "w") as container:
        video, audio = container.add_stream("mjpeg", rate=25), container.add_stream("pcm_s16le", rate=48000)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        video.set_display_rotation(90)
        for number in range(4):
            file = io.BytesIO()
            Image.new("RGB", (WIDTH, HEIGHT), (40 * number, 90, 20)).save(file, "JPEG", exif=exif, subsampling=2)
            packet = av.Packet(file.getvalue())
            packet.stream, packet.time_base, packet.is_keyframe = video, Fraction(1, 25), True
            packet.pts = packet.dts = number
            packet.duration = 1
            container.mux(packet)
        for start in range(0, 7680, 960):
            tone = av.AudioFrame.from_ndarray(wave, "s16", "mono")
            tone.sample_rate, tone.pts, tone.time_base = 48000, start, Fraction(1, 48000)
            container.mux(audio.encode(tone))
        container.mux(audio.encode())
    report = encode_file(tmp_path / "in.mov", tmp_path / "out.mkv", FAST)
    assert "sound (pcm_s16le)" in report.carried
    assert "a rotation by 90 degrees" in caplog.text


@pytest.mark.usefixtures("libaom")
def test_a_clip_has_few_key_frames_by_default_and_a_line_says_so(uneven: Path, tmp_path: Path) -> None:
    words = ("encode", uneven, "--cpu-used", 6, "--cq", 55, "--overwrite", "-o", tmp_path / "out.mp4")
    told = done(*words)
    assert "frames: 10, 1 of them key frames" in told.stdout
    assert "Key frames at most 240 frames apart, inter frames between; --keyint 1 makes" in told.stderr
    assert "Stock libaom" in told.stderr
    for alone in ("0", "1"):
        told = done(*words, "--keyint", alone)
        assert "frames: 10, 10 of them key frames" in told.stdout
        assert "Key frames at most" not in told.stderr


def test_a_film_without_a_frame_that_can_be_read_is_refused(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mkv", [0, 1, 2])
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(ToolkitError, match=r"cut short|not readable|holds no video"):
        list(open_film(path, allow_truncated=True).frames())
