"""`av1part encode`: a playable file of every kind, an honest bill, and failures that are counted or leave nothing."""

import json
import re
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner
from onnxruntime.capi.onnxruntime_pybind11_state import Fail
from support.libaom import IN_USE
from support.pictures import frame
from support.pruners import toy_folder, toy_pruner

from integration.codec.config import CHROMA_LEFT, Colour
from integration.codec.encoder import EncodedFrame, Encoder, EncoderConfig, EncoderSettings
from integration.codec.libaom_build import Libraries
from integration.codec.masker import Masker
from integration.commands.encode import summary
from integration.encoding.config import EncodeConfig
from integration.encoding.encode import Report, encode_file
from integration.media import video
from integration.media.video import Clip, open_clip
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.policy import Policy
from integration.pipeline.stages import Cascade
from toolkit.cli.main import main
from toolkit.errors import ToolkitError
from toolkit.windows import Window

SETTINGS = EncodeConfig(cq=30, cpu_used=3)


class FakePipeline:
    """Allows SPLIT alone and takes CPU time for it."""

    pruner = None

    def __init__(self, bit_depth: int = 8, **changes: Any) -> None:
        self.bit_depth = bit_depth
        self.encoder: dict[str, Any] = EncoderSettings(3).recorded(IN_USE) | {"cq": [20, 32]} | changes
        self.fail = False

    def mask(self, luma: np.ndarray, qindex: int) -> np.ndarray:
        if self.fail:
            raise RuntimeError("session lost")
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass
        return np.full((-(-luma.shape[0] // 16), -(-luma.shape[1] // 16)), 1 << 3, np.uint16)


class LosesItsSession(FakePipeline):
    """Stage 2 alone, whose ONNX Runtime session fails at the calls named, counted from 0."""

    node, window, path = 16, Window(), Path("loses")

    def __init__(self, failing: set[int]) -> None:
        super().__init__()
        self.calls, self.failing = 0, failing
        self.pipeline = Pipeline(Path("loses"), {"bit_depth": 8}, {}, Cascade({"2": self}), Policy())

    def logits(self, luma: np.ndarray, qindex: np.ndarray) -> np.ndarray:
        self.calls += 1
        if self.calls - 1 in self.failing:
            raise Fail("[ONNXRuntimeError] : 1 : FAIL : out of memory")
        return np.tile(np.array([4, 0, 0], np.float32), (len(luma), 1))

    def mask(self, luma: np.ndarray, qindex: int) -> np.ndarray:
        return self.pipeline.mask(luma, qindex)

    def add_to(self, masker: Masker) -> None:
        self.pipeline.add_to(masker)


def y4m(path: Path, frames: int, bit_depth: int = 8) -> Path:
    """Frames of 72x56, 25 a second, that pan."""
    planes = [frame(72, 56, bit_depth, left=100 + 20 * i) for i in range(frames)]
    coded = [b"FRAME\n" + b"".join(p.tobytes() for p in f) for f in planes]
    colour = "420jpeg" if bit_depth == 8 else "420p10 XYSCSS=420P10"
    path.write_bytes(f"YUV4MPEG2 W72 H56 F25:1 Ip A1:1 C{colour}\n".encode() + b"".join(coded))
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Two frames, 8 bit."""
    return y4m(tmp_path / "clip.y4m", 2)


@pytest.mark.usefixtures("libaom")
def test_the_file_plays_and_the_report_is_its_own(tmp_path: Path, clip: Path) -> None:
    output = tmp_path / "out.ivf"
    report = encode_file(clip, output, SETTINGS)
    assert (report.frames, report.masked_nodes, report.failed_masks, report.inference_seconds) == (2, 0, 0, 0.0)
    assert report.encode_seconds > 0
    assert open_clip(output).rate == open_clip(clip).rate == 25
    assert report.bytes == output.stat().st_size - 32 - 2 * 12
    sources, errors = list(open_clip(clip).frames()), []
    with av.open(str(output)) as container:
        assert container.streams.video[0].frames == 2
        for source, decoded in zip(sources, container.decode(video=0), strict=True):
            plane = decoded.planes[0]
            luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:56, :72]
            errors.append(((source[0].astype(float) - luma) ** 2).mean())
    assert report.psnr_y == pytest.approx(10 * np.log10(255**2 / np.mean(errors)))


@pytest.mark.usefixtures("libaom")
def test_a_pipeline_masks_and_its_time_is_billed_apart(tmp_path: Path, clip: Path) -> None:
    report = encode_file(clip, tmp_path / "out.ivf", SETTINGS, FakePipeline())
    assert report.masked_nodes > 0
    assert 0.1 <= report.inference_seconds < 0.3
    assert report.encode_seconds > 0
    assert (tmp_path / "out.ivf").stat().st_size != 0


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (FakePipeline(usage="allintra"), "usage is 'allintra' there"),
        (FakePipeline(cpu_used=1), "cpu_used is 1 there and 3 here"),
        (FakePipeline(version="3.6.0"), "version is '3.6.0' there"),
        (FakePipeline(enable_1to4_partitions=0), "enable_1to4_partitions is 0 there and 1 here"),
    ],
)
@pytest.mark.usefixtures("libaom")
def test_a_pipeline_of_another_encoder_is_refused(
    tmp_path: Path, clip: Path, pipeline: FakePipeline, message: str
) -> None:
    output = tmp_path / "out.ivf"
    with pytest.raises(ToolkitError, match=message):
        encode_file(clip, output, SETTINGS, pipeline)
    assert not output.exists()
    told = EncodeConfig(cq=30, cpu_used=3, any_settings=True)
    assert encode_file(clip, output, told, pipeline).masked_nodes > 0


@pytest.mark.usefixtures("libaom")
def test_a_pipeline_of_another_bit_depth_is_refused_whatever_is_said(tmp_path: Path, clip: Path) -> None:
    for told in (SETTINGS, EncodeConfig(cq=30, cpu_used=3, any_settings=True)):
        with pytest.raises(ToolkitError, match="made for 10 bit, the clip has 8"):
            encode_file(clip, tmp_path / "out.ivf", told, FakePipeline(bit_depth=10))


@pytest.mark.usefixtures("libaom")
def test_a_pipeline_that_records_no_settings_is_refused(tmp_path: Path, clip: Path) -> None:
    pipeline = FakePipeline()
    pipeline.encoder = {"imported": "older data"}
    with pytest.raises(ToolkitError, match="not recorded") as caught:
        encode_file(clip, tmp_path / "out.ivf", SETTINGS, pipeline)
    assert "cpu_used" not in caught.value.message, "one sentence, no list of fields"


@pytest.mark.usefixtures("libaom")
def test_a_failing_pipeline_is_counted_and_explained(tmp_path: Path, clip: Path) -> None:
    pipeline = FakePipeline()
    pipeline.fail = True
    report = encode_file(clip, tmp_path / "out.ivf", SETTINGS, pipeline)
    plain = encode_file(clip, tmp_path / "plain.ivf", SETTINGS)
    assert report.failed_masks == 2
    assert report.mask_errors == ["RuntimeError: session lost"]
    assert (tmp_path / "out.ivf").read_bytes() == (tmp_path / "plain.ivf").read_bytes()
    assert report.bytes == plain.bytes


@pytest.mark.parametrize("ahead", [0, 2])
@pytest.mark.usefixtures("libaom")
def test_a_session_lost_in_the_middle_costs_that_frames_mask_alone(tmp_path: Path, ahead: int) -> None:
    clip = y4m(tmp_path / "clip.y4m", 4)
    settings = EncodeConfig(cq=30, cpu_used=3, ahead=ahead)
    whole = encode_file(clip, tmp_path / "whole.obu", settings, LosesItsSession(set()))
    plain = encode_file(clip, tmp_path / "plain.obu", settings)
    report = encode_file(clip, tmp_path / "out.obu", settings, LosesItsSession({2}))
    assert (report.failed_masks, report.unmasked_frames, report.masked_frames) == (1, [2], 3)
    assert report.mask_errors == ["Fail: [ONNXRuntimeError] : 1 : FAIL : out of memory"]
    packets = [split(tmp_path / f"{name}.obu") for name in ("out", "whole", "plain")]
    for number, (out, masked, unmasked) in enumerate(zip(*packets, strict=True)):
        assert masked != unmasked
        assert out == (unmasked if number == 2 else masked)
    assert (whole.masks_ahead, plain.masks_ahead) == (3 if ahead else 0, 0)


def split(path: Path) -> list[bytes]:
    """The temporal units of a .obu file, as FFmpeg finds them."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


@pytest.mark.usefixtures("libaom")
def test_the_command_warns_of_unmasked_frames_and_fails_where_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pipeline, "load", lambda path, provider, threads: LosesItsSession({1}))
    clip, output = y4m(tmp_path / "clip.y4m", 3), tmp_path / "out.ivf"
    (tmp_path / "p").mkdir()
    (tmp_path / "p/manifest.json").write_text('{"kind": "av1part-pipeline"}')
    words = ["encode", str(clip), "-o", str(output), "--pipeline", str(tmp_path / "p"), "--cq", "30", "--cpu-used", "3"]
    words += ["--keyint", "1"]
    done = CliRunner().invoke(main, [*words, "--json"])
    assert done.exit_code == 0
    assert "Warning: 1 of 3 frames went unmasked: Fail" in done.stderr
    report = json.loads(done.stdout)
    assert (report["failed_masks"], report["unmasked_frames"], report["frames"]) == (1, [1], 3)
    written = output.read_bytes()
    output.unlink()
    done = CliRunner().invoke(main, [*words, "--strict"])
    assert done.exit_code == 1
    assert "1 of 3 frames went unmasked" in done.stderr
    assert "frames unmasked by failure: 1 [1]" in done.stdout
    assert output.read_bytes() == written, "the file is there all the same"


@pytest.mark.parametrize("ending", [".ivf", ".obu", ".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize(("bit_depth", "keyint", "lag"), [(8, 1, 0), (10, 3, 0), (8, 30, 19)])
@pytest.mark.usefixtures("libaom")
def test_every_kind_of_file_decodes_to_the_encoders_reconstruction(
    tmp_path: Path, ending: str, bit_depth: int, keyint: int, lag: int
) -> None:
    clip, output = y4m(tmp_path / "clip.y4m", 6, bit_depth), tmp_path / f"out{ending}"
    settings = EncodeConfig(cq=40, cpu_used=6, keyint=keyint, lag=lag)
    counted: list[tuple[int, int | None]] = []
    report = encode_file(clip, output, settings, progress=lambda done, of: counted.append((done, of)))
    assert counted == [(number + 1, 6) for number in range(6)]
    coded: list[EncodedFrame | None] = []
    config = EncoderConfig(72, 56, bit_depth, cq=40, cpu_used=6, keyint=keyint, lag=lag)
    with Encoder(config) as encoder:
        coded += [encoder.feed(planes) for planes in open_clip(clip).frames()]
        coded += encoder.flush()
    frames = [f for f in coded if f]
    keys = list(range(0, 6, keyint))
    assert report.key_frames == len(keys)
    assert report.qindex == [f.qindex for f in frames]
    assert report.bytes == sum(len(f.data) for f in frames)
    kind = np.dtype(np.uint8 if bit_depth == 8 else "<u2")
    with av.open(str(output)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.codec.name == "libdav1d"
        assert stream.average_rate in (25, None)
        decoded = list(container.decode(stream))
        for number, (picture, ours) in enumerate(zip(decoded, frames, strict=True)):
            assert picture.time is None or picture.time == pytest.approx(number / 25, abs=0.001)
            for index, plane in enumerate(picture.planes):
                height, width = config.plane_shape(index)
                rows = np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)
                np.testing.assert_array_equal(rows[:height, :width], ours.reconstruction[index])
        extradata = stream.codec_context.extradata
    if ending == ".obu":
        assert output.read_bytes() == b"".join(f.data for f in frames)
        assert all(f.data.startswith(b"\x12\x00") for f in frames), "a temporal delimiter before every unit"
    if ending in (".mp4", ".mkv", ".webm"):
        assert extradata is not None
        # av1C: marker and version 1; profile 0; 4:2:0 and the bit depth; then the sequence header itself.
        assert (extradata[0], extradata[1] >> 5, extradata[2] & 0b01101100) == (0x81, 0, 0x4C if bit_depth > 8 else 0xC)
        header = extradata[4:]
        assert header[0] >> 3 & 15 == 1
        assert header in frames[0].data
        with av.open(str(output)) as container:
            packets = [p for p in container.demux(video=0) if p.size]
            assert [p.is_keyframe for p in packets] == [number in keys for number in range(6)]
            assert ending != ".mp4" or container.streams.video[0].codec_context.codec_tag == "av01"


@pytest.mark.parametrize("ending", [".ivf", ".obu", ".mp4", ".mkv", ".webm"])
@pytest.mark.usefixtures("libaom")
def test_equal_encodes_give_equal_files(tmp_path: Path, clip: Path, ending: str) -> None:
    outputs = [tmp_path / f"{name}{ending}" for name in ("one", "another")]
    for output in outputs:
        encode_file(clip, output, EncodeConfig(cpu_used=6))
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


@pytest.mark.parametrize("lag", [0, 4])
@pytest.mark.usefixtures("libaom")
def test_key_frames_alone_are_masked(tmp_path: Path, lag: int) -> None:
    clip = y4m(tmp_path / "clip.y4m", 7)
    settings = EncodeConfig(cq=30, cpu_used=3, keyint=3, lag=lag)
    report = encode_file(clip, tmp_path / "out.ivf", settings, FakePipeline())
    assert (report.frames, report.key_frames, report.masked_frames, report.masks_ahead) == (7, 3, 3, 0)
    assert report.masked_nodes > 0


@pytest.mark.usefixtures("libaom")
def test_the_command_says_which_frames_are_pruned_and_opens_a_clip_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    def counted(path: Path, *words: Any, **more: Any) -> Clip:
        opened.append(path)
        return open_clip(path, *words, **more)

    monkeypatch.setattr(video, "open_clip", counted)
    clip = y4m(tmp_path / "clip.y4m", 3)
    words = ["encode", str(clip), "-o", str(tmp_path / "out.ivf"), "--overwrite", "--cpu-used", "2", "--cq", "50"]
    says = {
        "key": "Only the key frames are pruned; the frames between them are coded as libaom codes them.",
        "both": "Inter frames are pruned; key frames are pruned by photo-8bit.",
    }
    for more, told in (["--pruner", "photo-8bit"], "key"), ([], "both"), (["--keyint", "1"], ""), (["--no-4way"], ""):
        opened.clear()
        done = CliRunner().invoke(main, [*words, "--keyint", "3", *more])
        assert done.exit_code == 0, done.output
        assert {name: line in done.stderr for name, line in says.items()} == {name: name == told for name in says}
        assert opened == [clip]


def test_the_command_says_that_inter_frames_are_pruned_by_a_pruner_of_such(libaom: Libraries, tmp_path: Path) -> None:
    made = toy_folder(tmp_path / "inter", libaom, toy_pruner([(16, "stop")], -5.0, 5.0), frame_kind="inter")
    words = ["encode", str(y4m(tmp_path / "clip.y4m", 3)), "-o", str(tmp_path / "out.ivf"), "--cpu-used", "2"]
    done = CliRunner().invoke(main, [*words, "--keyint", "3", "--pruner", str(made)])
    assert done.exit_code == 0, done.output
    assert "Inter frames are pruned; key frames are coded as libaom codes them." in done.stderr
    assert "Only the key frames" not in done.stderr


@pytest.mark.usefixtures("libaom")
def test_another_ending_is_refused_before_anything_is_coded(tmp_path: Path, clip: Path) -> None:
    for name in ("out.avi", "out", "out.yuv"):
        with pytest.raises(ToolkitError, match=r"expected a name that ends in \.avif, \.ivf, \.obu, \.mp4"):
            encode_file(clip, tmp_path / name, SETTINGS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.y4m"]


@pytest.mark.usefixtures("libaom")
def test_of_encodes_to_one_file_one_is_made_and_the_others_are_refused(tmp_path: Path, clip: Path) -> None:
    output, refused = tmp_path / "out.ivf", []

    def meanwhile(count: int, of: int | None) -> None:
        if count == 1:
            for overwrite in (False, True):
                with pytest.raises(ToolkitError, match=r"out\.ivf: another process is writing there") as error:
                    encode_file(clip, output, SETTINGS, overwrite=overwrite)
                refused.append(error)

    encode_file(clip, output, SETTINGS, progress=meanwhile)
    assert len(refused) == 2
    assert output.stat().st_size > 100
    with pytest.raises(ToolkitError, match="exists already"):
        encode_file(clip, output, SETTINGS)
    encode_file(clip, output, SETTINGS, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.y4m", "out.ivf"]


def test_an_encode_does_not_break_a_sealed_folder(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "manifest.json").write_text('{"kind": "av1part-blockset"}')
    with pytest.raises(ToolkitError, match=r"in a data set .*, which is sealed"):
        encode_file(clip, tmp_path / "set" / "out.ivf", SETTINGS)


def test_a_report_without_masks_says_nothing_of_masks() -> None:
    plain = summary(Report(frames=2, key_frames=2, qindex=[80, 80]))
    assert not re.search("mask|inference", plain)
    assert "frames: 2, 2 of them key frames\n" in plain
    masked = summary(Report(frames=2, key_frames=2, qindex=[80, 80], masked_frames=1, masked_nodes=7))
    assert "key frames, 1 masked\n" in masked
    assert "nodes masked: 7" in masked
    assert "inference: 0.00 CPU s" in masked


@pytest.mark.usefixtures("libaom")
def test_the_source_is_never_replaced_and_another_file_where_told_to(tmp_path: Path, clip: Path) -> None:
    first, again = tmp_path / "first.ivf", tmp_path / "again.ivf"
    words = ["--cq", "50", "--cpu-used", "6"]
    done = CliRunner().invoke(main, ["encode", str(clip), "-o", str(first), *words])
    assert done.exit_code == 0, done.output
    coded = first.read_bytes()
    again.symlink_to(first)
    for output in (first, again):
        for told in ([], ["--overwrite"]):
            done = CliRunner().invoke(main, ["encode", str(first), "-o", str(output), *words, *told])
            assert (done.exit_code, first.read_bytes()) == (1, coded)
            assert "is the source itself" in done.stderr
    again.unlink()
    again.write_bytes(b"precious")
    done = CliRunner().invoke(main, ["encode", str(clip), "-o", str(again), *words])
    assert (done.exit_code, again.read_bytes()) == (1, b"precious")
    assert "exists already. Choose another name, remove it, or pass --overwrite." in done.stderr
    done = CliRunner().invoke(main, ["encode", str(clip), "-o", str(again), *words, "--overwrite"])
    assert (done.exit_code, again.read_bytes()) == (0, coded), done.output


@pytest.mark.parametrize("ahead", [0, 2])
@pytest.mark.parametrize(("ending", "message"), [(".ivf", "frame 3 is damaged"), (".mkv", "cut short after frame 2,")])
@pytest.mark.usefixtures("libaom")
def test_a_clip_that_breaks_off_in_the_middle_is_an_error_that_names_the_frame(
    tmp_path: Path, ending: str, message: str, ahead: int
) -> None:
    source = tmp_path / f"source{ending}"
    encode_file(y4m(tmp_path / "clip.y4m", 8), source, EncodeConfig(cq=20, cpu_used=6))
    with av.open(str(source)) as container:
        fourth = list(container.demux(video=0))[3]
        where = source.read_bytes().index(bytes(fourth)[-40:])  # its end: a container leaves the delimiter out
    source.write_bytes(source.read_bytes()[:where])
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(ToolkitError, match=message):
        encode_file(source, tmp_path / "out.mp4", EncodeConfig(cpu_used=6, ahead=ahead))
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.usefixtures("libaom")
def test_the_command_takes_a_clip_cut_short_where_told_to(tmp_path: Path, clip: Path) -> None:
    clip.write_bytes(clip.read_bytes()[:-10])
    words = ["encode", str(clip), "-o", str(tmp_path / "out.ivf"), "--cpu-used", "6"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 1
    assert "or pass --allow-truncated" in done.stderr
    done = CliRunner().invoke(main, [*words, "--allow-truncated"])
    assert done.exit_code == 0, done.output
    assert "frames: 1," in done.stdout


@pytest.mark.usefixtures("libaom")
def test_lossless_has_no_psnr(tmp_path: Path, clip: Path) -> None:
    report = encode_file(clip, tmp_path / "out.ivf", EncodeConfig(cq=0, cpu_used=4, frames=1))
    assert report.qindex == [0]
    assert report.psnr_y is None


@pytest.mark.usefixtures("libaom")
def test_a_damaged_clip_leaves_no_file(tmp_path: Path, clip: Path) -> None:
    clip.write_bytes(clip.read_bytes()[:-10])
    with pytest.raises(ToolkitError, match="frame 1, its last, is cut short"):
        encode_file(clip, tmp_path / "out.ivf", SETTINGS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.y4m"]


@pytest.mark.usefixtures("libaom")
def test_the_command_prints_json_of_a_10_bit_raw_clip(tmp_path: Path) -> None:
    raw = tmp_path / "clip.yuv"
    raw.write_bytes(b"".join(p.tobytes() for p in frame(64, 48, 10)))
    arguments = ["encode", str(raw), "-o", str(tmp_path / "out.ivf"), "--raw", "64x48:10", "--cq", "20", "--json"]
    arguments += ["--no-pipeline", "--keyint", "1"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert {"bytes", "psnr_y", "encode_seconds", "inference_seconds", "masked_blocks"} <= set(report)
    with Encoder(EncoderConfig(64, 48, 10, cq=20, four_way=True)) as encoder:
        assert report["bytes"] == len(encoder.encode(frame(64, 48, 10)).data)
    with av.open(str(tmp_path / "out.ivf")) as container:
        assert next(container.decode(video=0)).format.name == "yuv420p10le"


def test_bad_options_are_usage_errors(tmp_path: Path, clip: Path) -> None:
    for bad in (["--cq", "64"], ["--cpu-used", "10"], ["--usage", "realtime"]):
        assert CliRunner().invoke(main, ["encode", str(clip), "-o", str(tmp_path / "o.ivf"), *bad]).exit_code == 2


def tagged(path: Path, full: bool) -> Path:
    """Three frames of 72x56 in lossless H.264, tagged BT.2020, PQ, and full or limited range."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = 72, 56, "yuv420p", {"qp": "0"}
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 9, 16, 9
        context.color_range = 2 if full else 1
        for planes in (frame(72, 56, left=100 + 20 * i) for i in range(3)):
            picture = av.VideoFrame.from_ndarray(np.concatenate([p.ravel() for p in planes]).reshape(84, 72), "yuv420p")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("ending", [".ivf", ".obu", ".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.usefixtures("libaom")
def test_the_colour_description_is_carried_over_and_no_sample_is_changed(
    tmp_path: Path, ending: str, full: bool
) -> None:
    source = tagged(tmp_path / "in.mkv", full)
    output, untagged = tmp_path / f"out{ending}", tmp_path / "plain.obu"
    encode_file(source, output, SETTINGS)
    with av.open(str(output)) as container:
        codec = container.streams.video[0].codec_context
        decoded = [picture.to_ndarray() for picture in container.decode(video=0)]
        found = [int(v) for v in (codec.color_primaries, codec.color_trc, codec.colorspace, codec.color_range)]
    assert found == [9, 16, 9, 2 if full else 1]
    clip = open_clip(source)
    assert clip.colour == Colour(9, 16, 9, full)
    with Encoder(EncoderConfig(72, 56, cq=30, cpu_used=3, four_way=SETTINGS.four_way)) as encoder:
        coded = [encoder.encode(planes) for planes in clip.frames()]
        with pytest.raises(ToolkitError, match="after the first frame"):
            encoder.set_colour(clip.colour)
    untagged.write_bytes(b"".join(one.data for one in coded))
    with av.open(str(untagged)) as container:
        for picture, ours in zip(container.decode(video=0), decoded, strict=True):
            np.testing.assert_array_equal(picture.to_ndarray(), ours)


@pytest.mark.usefixtures("libaom")
def test_a_described_stream_is_stock_libaoms_with_the_same_description(tmp_path: Path, libaom: Libraries) -> None:
    source = tagged(tmp_path / "in.mkv", full=True)
    encode_file(source, tmp_path / "out.obu", SETTINGS)
    config = EncoderConfig(72, 56, cq=30, cpu_used=3, four_way=SETTINGS.four_way)
    with Encoder(config, library=libaom.stock) as encoder:
        encoder.set_colour(Colour(9, 16, 9, True))
        encoder.set_chroma_position(CHROMA_LEFT)  # as FFmpeg takes H.264 to mean
        stock = [encoder.encode(planes).data for planes in open_clip(source).frames()]
    assert (tmp_path / "out.obu").read_bytes() == b"".join(stock)


def test_what_av1_cannot_say_of_colour_in_420_becomes_unspecified() -> None:
    assert Colour.of(0, 3, 0, False) == Colour.of(300, 99, 15, False) == Colour()
    assert Colour.of(1, 13, 6, True) == Colour(1, 13, 6, True)
