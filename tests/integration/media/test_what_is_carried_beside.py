"""What `av1part encode` carries over beside the samples: HDR metadata and sound, and a line for what it does not."""

import json
import logging
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from support.commands import done
from support.pictures import frame

from integration.codec.config import CHROMA_LEFT
from integration.codec.encoder import Encoder, EncoderConfig
from integration.codec.hdr import Hdr, LightLevel, Mastering
from integration.codec.libaom_build import Libraries
from integration.encoding.config import EncodeConfig
from integration.encoding.encode import encode_file
from integration.media.beside import look_beside
from integration.media.video import open_clip
from toolkit.errors import ToolkitError

SETTINGS = EncodeConfig(cq=50, cpu_used=6)
RATE = 25
HDR = Hdr(
    Mastering(
        red=(Fraction(68, 100), Fraction(32, 100)),
        green=(Fraction(265, 1000), Fraction(69, 100)),
        blue=(Fraction(15, 100), Fraction(6, 100)),
        white=(Fraction(3127, 10000), Fraction(3290, 10000)),
        brightest=Fraction(1000),
        darkest=Fraction(1, 10000),
    ),
    LightLevel(1000, 400),
)
X265 = (
    "log-level=none:pools=none:frame-threads=1:bframes=0:max-cll=1000,400:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
)


def film(
    path: Path, frames: int = 50, sound: str = "", late: float = 0, hdr: bool = False, texts: bool = False
) -> Path:
    """Frames of 72x56, 25 a second, that begin `late` seconds after the sound, which is as long as the frames."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx265" if hdr else "libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = 72, 56, "yuv420p10le" if hdr else "yuv420p"
        video.options = {"x265-params": X265} if hdr else {"preset": "ultrafast"}
        audio = container.add_stream(sound, rate=48000) if sound else None
        text = container.add_mux_stream("subrip") if texts else None
        for number in range(frames):
            planes = [plane >> (2 if hdr else 0) for plane in frame(72, 56, 10 if hdr else 8, left=100 + 2 * number)]
            stacked = np.concatenate([plane.ravel() for plane in planes]).reshape(84, 72)
            picture = av.VideoFrame.from_ndarray(stacked, video.pix_fmt)
            picture.pts, picture.time_base = number + round(late * RATE), Fraction(1, RATE)
            container.mux(video.encode(picture))
        container.mux(video.encode())
        if audio is not None:
            wave = np.sin(np.arange(48000 * frames // RATE) / 20) * 9000
            for start in range(0, len(wave), 960):
                tone = av.AudioFrame.from_ndarray(wave[None, start : start + 960].astype(np.int16), "s16", "mono")
                tone.sample_rate, tone.pts, tone.time_base = 48000, start, Fraction(1, 48000)
                container.mux(audio.encode(tone))
            container.mux(audio.encode())
        if text is not None:
            packet = av.Packet(b"Hello")
            packet.stream, packet.pts, packet.duration, packet.time_base = text, 0, 500, Fraction(1, 1000)
            container.mux(packet)
    return path


def packets(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        return [bytes(packet) for packet in container.demux(streams) if packet.size] if streams else []


def span(path: Path, kind: str) -> tuple[float, float]:
    """When the first picture or sound of a file begins, and the last one ends, in seconds."""
    with av.open(str(path)) as container:
        found = list(container.decode(**{kind: 0}))
    last = found[-1]
    lasts = 1 / RATE if kind == "video" else last.samples / last.sample_rate
    return float(found[0].time), float(last.time) + lasts


def probed(path: Path, show: str) -> list[dict[str, Any]]:
    """Side data of the video as ffprobe shows it: of its `streams` or its `frames`."""
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed: apt-get install ffmpeg")
    command = ["ffprobe", "-v", "error", "-select_streams", "v", f"-show_{show}", "-of", "json", str(path)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[show]
    return [one.get("side_data_list", []) for one in found]


def assert_hdr(found: list[dict[str, Any]]) -> None:
    """ffprobe's side data is that of `HDR`."""
    values = {key: value for entry in found for key, value in entry.items()}
    assert (values["max_content"], values["max_average"]) == (1000, 400)
    assert HDR.mastering
    names = [f"{colour}_{axis}" for colour in ("red", "green", "blue", "white_point") for axis in "xy"]
    expected = [value for point in HDR.mastering.points for value in point]
    expected += [HDR.mastering.brightest, HDR.mastering.darkest]
    for name, value in zip([*names, "max_luminance", "min_luminance"], expected, strict=True):
        assert float(Fraction(values[name])) == pytest.approx(float(value), abs=1e-4), name


@pytest.mark.parametrize("ending", [".ivf", ".obu", ".mp4", ".mkv", ".webm"])
@pytest.mark.usefixtures("libaom")
def test_hdr_metadata_is_in_the_stream_and_in_every_container_that_has_a_place_for_it(
    tmp_path: Path, ending: str
) -> None:
    source, output = film(tmp_path / "in.mkv", 3, hdr=True), tmp_path / f"out{ending}"
    report = encode_file(source, output, SETTINGS)
    assert report.carried == ["HDR metadata"]
    assert look_beside(output).hdr == look_beside(encoded_again(output)).hdr
    for side in probed(output, "frames"):
        assert_hdr(side)
    if ending in (".mp4", ".mkv", ".webm"):
        assert_hdr(probed(output, "streams")[0])


def encoded_again(path: Path) -> Path:
    """Encode once more, into another container."""
    again = path.with_name("again.mp4")
    encode_file(path, again, SETTINGS)
    return again


@pytest.mark.usefixtures("libaom")
def test_hdr_metadata_of_mp4_is_carried_over_and_changes_no_sample(tmp_path: Path, libaom: Libraries) -> None:
    source = film(tmp_path / "in.mp4", 2, hdr=True)
    assert look_beside(source).hdr == HDR
    encode_file(source, tmp_path / "out.obu", SETTINGS)
    config = EncoderConfig(72, 56, 10, cq=50, cpu_used=6)
    with Encoder(config) as plain, Encoder(config, library=libaom.stock) as stock:
        stock.set_hdr(HDR)
        stock.set_chroma_position(CHROMA_LEFT)  # as FFmpeg takes H.265 to mean
        frames = list(open_clip(source).frames())
        without = [plain.encode(planes) for planes in frames]
        described = b"".join(stock.encode(planes).data for planes in frames)
    assert (tmp_path / "out.obu").read_bytes() == described, "the hook's stream is stock libaom's"
    assert len(described) > sum(len(one.data) for one in without)
    with av.open(str(tmp_path / "out.obu")) as container:
        for picture, ours in zip(container.decode(video=0), without, strict=True):
            luma = np.frombuffer(memoryview(picture.planes[0]), "<u2").reshape(-1, picture.planes[0].line_size // 2)
            np.testing.assert_array_equal(luma[:56, :72], ours.reconstruction[0])


@pytest.mark.usefixtures("libaom")
def test_hdr_metadata_is_repeated_at_key_frames_alone_and_added_once(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", 4, hdr=True)
    encode_file(source, tmp_path / "out.obu", EncodeConfig(cq=50, cpu_used=6, keyint=2))
    units = packets(tmp_path / "out.obu", "video")
    light = b"\x01" + HDR.payloads()[1]
    assert [light in unit for unit in units] == [True, False, True, False]
    with Encoder(EncoderConfig(64, 64)) as encoder:
        encoder.set_hdr(HDR)
        with pytest.raises(ToolkitError, match="added before"):
            encoder.set_hdr(HDR)
        encoder.encode(frame(64, 64))
        with pytest.raises(ToolkitError, match="after the first frame"):
            encoder.set_hdr(HDR)


def test_numbers_beyond_av1s_are_kept_within_them() -> None:
    far = (Fraction(3), Fraction(-1))
    mastering = Mastering(far, far, far, far, Fraction(10**9), Fraction(0))
    assert mastering.payload() == b"\xff\xff\x00\x00" * 4 + b"\xff" * 4 + bytes(4)
    assert LightLevel(10**6, 0).payload() == b"\xff\xff\x00\x00"


@pytest.mark.parametrize(
    ("codec", "source", "ending"),
    [
        ("aac", ".mp4", ".mp4"),
        ("aac", ".mkv", ".mp4"),
        ("aac", ".mp4", ".mkv"),
        ("libopus", ".mkv", ".webm"),
        ("libopus", ".mkv", ".mkv"),
        ("pcm_s16le", ".mkv", ".mkv"),
    ],
)
@pytest.mark.usefixtures("libaom")
def test_sound_is_copied_and_the_video_is_the_same_with_it(
    tmp_path: Path, codec: str, source: str, ending: str
) -> None:
    clip = film(tmp_path / f"in{source}", sound=codec)
    output, mute = tmp_path / f"out{ending}", tmp_path / f"mute{ending}"
    report = encode_file(clip, output, SETTINGS)
    assert report.carried == [f"sound ({codec.removeprefix('lib')})"]
    encode_file(clip, mute, EncodeConfig(cq=50, cpu_used=6, audio=False))
    assert packets(output, "audio") == packets(clip, "audio")
    assert packets(output, "video") == packets(mute, "video")
    assert not packets(mute, "audio")
    for kind in ("video", "audio"):
        # Matroska has no place for the priming that an MP4's edit list hides: 1024 samples of AAC.
        assert span(output, kind) == pytest.approx(span(clip, kind), abs=0.023)
    gap = [span(path, "video")[0] - span(path, "audio")[0] for path in (clip, output)]
    assert gap[1] == pytest.approx(gap[0], abs=0.023 if (source, ending) == (".mp4", ".mkv") else 0.0011)


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.usefixtures("libaom")
def test_a_clip_whose_video_starts_late_keeps_its_sound_in_step(tmp_path: Path, ending: str) -> None:
    clip = film(tmp_path / "in.mkv", sound="libopus", late=0.6)
    output = tmp_path / f"out{ending}"
    encode_file(clip, output, SETTINGS)
    assert packets(output, "audio") == packets(clip, "audio")
    for kind in ("video", "audio"):
        assert span(output, kind) == pytest.approx(span(clip, kind), abs=0.015)
    assert span(output, "video")[0] == pytest.approx(0.6, abs=0.011)


@pytest.mark.parametrize(("late", "ends"), [(0.0, 0.4), (0.6, 1.0)])
@pytest.mark.usefixtures("libaom")
def test_sound_is_cut_where_the_frames_are(tmp_path: Path, late: float, ends: float) -> None:
    clip, output = film(tmp_path / "in.mkv", sound="pcm_s16le", late=late), tmp_path / "out.mkv"
    encode_file(clip, output, EncodeConfig(cq=50, cpu_used=6, frames=10))
    assert span(output, "video")[1] == pytest.approx(ends, abs=0.002)
    assert ends <= span(output, "audio")[1] + 0.002 < ends + 0.03, "whole packets"
    copied = packets(output, "audio")
    assert copied == packets(clip, "audio")[: len(copied)]


@pytest.mark.usefixtures("libaom")
def test_sound_of_a_clip_that_is_cut_short_ends_with_the_frames_that_are_taken(tmp_path: Path) -> None:
    clip, output = film(tmp_path / "in.mkv", sound="libopus"), tmp_path / "out.mkv"
    whole = packets(clip, "audio")
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    report = encode_file(clip, output, EncodeConfig(cq=50, cpu_used=6, allow_truncated=True))
    assert 0 < report.frames < 50
    copied = packets(output, "audio")
    assert copied == whole[: len(copied)]
    assert span(output, "audio")[1] < span(output, "video")[1] + 0.03
    with pytest.raises(ToolkitError, match="cut short"):
        encode_file(clip, tmp_path / "none.mkv", SETTINGS)
    assert not (tmp_path / "none.mkv").exists()


@pytest.mark.parametrize(
    ("codec", "ending", "says"),
    [
        ("pcm_s16le", ".mp4", "its sound (pcm_s16le) is not carried over: .mp4 takes aac"),
        ("pcm_s16le", ".webm", "its sound (pcm_s16le) is not carried over: .webm takes opus, vorbis. Write .mkv."),
        ("aac", ".webm", "its sound (aac) is not carried over: .webm takes opus, vorbis. Write .mp4 or .mkv."),
        ("aac", ".ivf", "its sound (aac) is not carried over: .ivf holds video alone. Write .mp4 or .mkv or .webm."),
        ("libopus", ".obu", "its sound (opus) is not carried over: .obu holds video alone."),
    ],
)
@pytest.mark.usefixtures("libaom")
def test_one_line_says_that_a_container_does_not_hold_the_sound(
    tmp_path: Path, codec: str, ending: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    clip, output = film(tmp_path / "in.mkv", 3, sound=codec), tmp_path / f"out{ending}"
    words = ("encode", clip, "--cpu-used", 6, "--cq", 50, "--no-pipeline", "--overwrite", "-o", output)
    told = done(*words)
    (line,) = caplog.messages
    assert f"{clip}: {says}" in line
    assert "carried over" not in told.stdout
    assert not packets(output, "audio")
    done(*words, "--no-audio")
    assert len(caplog.messages) == 1


@pytest.mark.usefixtures("libaom")
def test_other_tracks_are_named_and_the_report_says_what_is_carried_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = film(tmp_path / "in.mkv", 3, sound="aac", hdr=True, texts=True)
    told = done("encode", clip, "--cpu-used", 6, "--no-pipeline", "-o", tmp_path / "out.mp4")
    assert caplog.messages == [f"{clip}: Not carried over: 1 subtitle track."]
    assert "carried over: HDR metadata, sound (aac)" in told.stdout


@pytest.mark.usefixtures("libaom")
def test_frames_that_do_not_come_at_a_constant_rate_keep_their_times_and_stay_in_step_with_the_sound(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    even = film(tmp_path / "even.mkv", sound="libopus")
    encode_file(even, tmp_path / "even.mp4", SETTINGS)
    assert not caplog.messages
    path = tmp_path / "uneven.mkv"
    with av.open(str(even)) as source, av.open(str(path), "w") as target:
        streams = {stream: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size:
                if packet.stream.type == "video" and packet.pts >= 1000:
                    packet.pts, packet.dts = packet.pts + 700, packet.dts + 700
                packet.stream = streams[packet.stream]
                target.mux(packet)
    with caplog.at_level(logging.WARNING):
        encode_file(path, tmp_path / "out.mp4", SETTINGS)
    assert not caplog.messages
    for kind in ("video", "audio"):
        assert span(tmp_path / "out.mp4", kind) == pytest.approx(span(path, kind), abs=0.015)
    assert packets(tmp_path / "out.mp4", "audio") == packets(path, "audio")
