"""`av1part encode`: a playable file, an honest bill, and no pipeline that was made for another encoder."""

import json
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner
from pictures import frame

from integration.encode import encode_file
from integration.encode_config import EncodeConfig
from integration.encoder import Encoder, EncoderConfig, encoder_settings
from integration.video import open_clip
from toolkit.cli.main import main
from toolkit.errors import ToolkitError

SETTINGS = EncodeConfig(cq=30, cpu_used=3)


class FakePipeline:
    """Allows SPLIT alone and takes CPU time for it."""

    def __init__(self, bit_depth: int = 8, **changes: Any) -> None:
        self.bit_depth = bit_depth
        self.encoder: dict[str, Any] = encoder_settings("good", 3, "3.12.1") | {"cq": [20, 32]} | changes
        self.fail = False

    def mask(self, luma: np.ndarray, qindex: int) -> np.ndarray:
        if self.fail:
            raise RuntimeError("session lost")
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
        return np.full((-(-luma.shape[0] // 16), -(-luma.shape[1] // 16)), 1 << 3, np.uint16)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Two frames of 72x56, 8 bit."""
    path = tmp_path / "clip.y4m"
    frames = [b"FRAME\n" + b"".join(p.tobytes() for p in frame(72, 56, left=100 + 20 * i)) for i in range(2)]
    path.write_bytes(b"YUV4MPEG2 W72 H56 F25:1 Ip A1:1 C420jpeg\n" + b"".join(frames))
    return path


@pytest.mark.usefixtures("libaom")
def test_the_file_plays_and_the_report_is_its_own(tmp_path: Path, clip: Path) -> None:
    output = tmp_path / "out.ivf"
    report = encode_file(clip, output, SETTINGS)
    assert (report.frames, report.masked_blocks, report.failed_masks, report.inference_seconds) == (2, 0, 0, 0.0)
    assert report.encode_seconds > 0
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
    assert report.masked_blocks > 0
    assert 0.1 <= report.inference_seconds < 0.3
    assert report.encode_seconds > 0
    assert (tmp_path / "out.ivf").stat().st_size != 0


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (FakePipeline(usage="allintra"), "usage is 'allintra' there"),
        (FakePipeline(cpu_used=1), "cpu_used is 1 there and 3 here"),
        (FakePipeline(version="3.6.0"), "version is '3.6.0' there"),
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
    assert encode_file(clip, output, told, pipeline).masked_blocks > 0


@pytest.mark.usefixtures("libaom")
def test_a_pipeline_of_another_bit_depth_is_refused_whatever_is_said(tmp_path: Path, clip: Path) -> None:
    for told in (SETTINGS, EncodeConfig(cq=30, cpu_used=3, any_settings=True)):
        with pytest.raises(ToolkitError, match="made for 10 bit, the clip has 8"):
            encode_file(clip, tmp_path / "out.ivf", told, FakePipeline(bit_depth=10))


@pytest.mark.usefixtures("libaom")
def test_a_pipeline_that_records_no_settings_is_refused(tmp_path: Path, clip: Path) -> None:
    pipeline = FakePipeline()
    pipeline.encoder = {"imported": "older data"}
    with pytest.raises(ToolkitError, match="not recorded"):
        encode_file(clip, tmp_path / "out.ivf", SETTINGS, pipeline)


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


@pytest.mark.usefixtures("libaom")
def test_lossless_has_no_psnr(tmp_path: Path, clip: Path) -> None:
    report = encode_file(clip, tmp_path / "out.ivf", EncodeConfig(cq=0, cpu_used=4, frames=1))
    assert report.qindex == [0]
    assert report.psnr_y is None


@pytest.mark.usefixtures("libaom")
def test_a_damaged_clip_leaves_no_file(tmp_path: Path, clip: Path) -> None:
    clip.write_bytes(clip.read_bytes()[:-10])
    with pytest.raises(ToolkitError, match="cut short"):
        encode_file(clip, tmp_path / "out.ivf", SETTINGS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.y4m"]


@pytest.mark.usefixtures("libaom")
def test_the_command_prints_json_of_a_10_bit_raw_clip(tmp_path: Path) -> None:
    raw = tmp_path / "clip.yuv"
    raw.write_bytes(b"".join(p.tobytes() for p in frame(64, 48, 10)))
    arguments = ["encode", str(raw), "-o", str(tmp_path / "out.ivf"), "--raw", "64x48:10", "--cq", "20", "--json"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert {"bytes", "psnr_y", "encode_seconds", "inference_seconds", "masked_blocks"} <= set(report)
    with Encoder(EncoderConfig(64, 48, 10, cq=20)) as encoder:
        assert report["bytes"] == len(encoder.encode(frame(64, 48, 10)).data)
    with av.open(str(tmp_path / "out.ivf")) as container:
        assert next(container.decode(video=0)).format.name == "yuv420p10le"


def test_bad_options_are_usage_errors(tmp_path: Path, clip: Path) -> None:
    for bad in (["--cq", "64"], ["--cpu-used", "7"], ["--usage", "realtime"]):
        assert CliRunner().invoke(main, ["encode", str(clip), "-o", str(tmp_path / "o.ivf"), *bad]).exit_code == 2
