"""The trial before an encode: cheap, honest about what costs time, and without effect on the stream."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import cli, done
from support.libaom import IN_USE
from support.pictures import CHELSEA, frame

from integration.codec.encoder import EncodedFrame, Encoder, EncoderSettings
from integration.encoding.config import EncodeConfig
from integration.encoding.trial import piece_of, tiles_of, try_out
from integration.media.video import open_clip
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.policy import Policy
from integration.pipeline.stages import Cascade
from toolkit.windows import Window


class Sure:
    """A model of any stage that is sure of its first class, and takes `seconds` of CPU time a call."""

    window = Window()

    def __init__(self, classes: int, seconds: float) -> None:
        self.classes, self.seconds = classes, seconds

    def logits(self, luma: np.ndarray, qindex: np.ndarray) -> np.ndarray:
        end = time.thread_time() + self.seconds
        while time.thread_time() < end:
            pass
        return np.tile(np.array([9] + [0] * (self.classes - 1), np.float32), (len(luma), 1))


def none_only(seconds: float) -> Pipeline:
    """Masks that allow NONE alone, which leaves most of the search out, and take `seconds` of CPU time each."""
    about = {"bit_depth": 8, "encoder": EncoderSettings(3, four_way=False).recorded(IN_USE)}
    return Pipeline(Path("none"), about, {}, Cascade({"1": Sure(2, seconds), "2": Sure(3, 0)}), Policy())


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Fifty frames of 128x128 that pan."""
    coded = [b"FRAME\n" + b"".join(p.tobytes() for p in frame(128, 128, left=100 + 2 * i)) for i in range(50)]
    path = tmp_path / "clip.y4m"
    path.write_bytes(b"YUV4MPEG2 W128 H128 F25:1 Ip A1:1 C420jpeg\n" + b"".join(coded))
    return path


def test_a_trial_codes_at_most_two_percent_of_a_clip_and_nothing_of_a_short_one() -> None:
    assert piece_of(1920, 1080, None) is piece_of(1920, 1080, 1) is piece_of(1920, 1080, 7) is None
    assert piece_of(640, 360, 2) is None
    assert piece_of(1920, 1080, 500) == (1920, 1080)
    assert piece_of(64, 48, 10) is None
    for width, height, frames in ((1920, 1080, 8), (640, 360, 30), (1280, 718, 12)):
        piece = piece_of(width, height, frames)
        assert piece is not None
        assert piece[0] * piece[1] <= 0.02 * width * height * frames
        assert min(piece) >= 128
        assert not piece[0] % 2


@pytest.mark.parametrize(("seconds", "pays"), [(0.0, True), (1.0, False)])
@pytest.mark.usefixtures("libaom")
def test_inference_is_charged(clip: Path, seconds: float, pays: bool) -> None:
    settings = EncodeConfig(cq=20, cpu_used=3, four_way=False)
    trial = try_out(open_clip(clip), settings, none_only(seconds), None)
    assert trial is not None
    assert (trial.width, trial.height) == (128, 128)
    assert trial.inference_seconds >= seconds
    assert trial.seconds >= trial.inference_seconds
    assert (trial.saving > 0) == pays
    assert (
        try_out(open_clip(clip), EncodeConfig(cq=20, cpu_used=3, keyint=5, four_way=False), none_only(0), None) is None
    )
    assert try_out(open_clip(clip, limit=7), settings, none_only(0), None) is None


@pytest.mark.usefixtures("libaom")
def test_each_side_codes_its_piece_once(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More would be more than 2% of the clip's pixels."""
    coded: list[Encoder] = []
    encode = Encoder.encode

    def counted(encoder: Encoder, *words: Any) -> EncodedFrame:
        coded.append(encoder)
        return encode(encoder, *words)

    monkeypatch.setattr(Encoder, "encode", counted)
    assert try_out(open_clip(clip), EncodeConfig(cq=20, cpu_used=3, four_way=False), none_only(0), None)
    assert len(coded) == len({id(encoder) for encoder in coded}) == 2


@pytest.mark.usefixtures("libaom")
def test_the_command_says_beforehand_that_it_will_not_pay_and_afterwards_what_it_cost(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p/manifest.json").write_text('{"kind": "av1part-pipeline"}')
    monkeypatch.setattr("integration.encoding.trial.SHARE", 0.2)  # of few frames
    words = (
        "encode",
        clip,
        "--frames",
        "8",
        "--keyint",
        "1",
        "--pipeline",
        tmp_path / "p",
        "--cq",
        "20",
        "--cpu-used",
        "3",
    )
    monkeypatch.setattr(Pipeline, "load", lambda path, provider, threads: none_only(0.3))
    for name in ("a", "b"):
        slow = done(*words, "--no-4way", "-o", tmp_path / f"{name}.obu", "--ahead", "0")
    assert "Warning: this pipeline will not pay here: on 128x128 pixels of the first frame" in slow.stderr
    assert "expected saving: nothing: about -" in slow.stdout
    assert (tmp_path / "a.obu").read_bytes() == (tmp_path / "b.obu").read_bytes()
    monkeypatch.setattr(Pipeline, "load", lambda path, provider, threads: none_only(0))
    fast = done(*words, "-o", tmp_path / "c.obu", "--json")
    assert "Trial on 128x128 pixels of the first frame" in fast.stderr
    report = json.loads(fast.stdout)
    assert 0 < report["trial"]["seconds"] < report["trial"]["plain_seconds"]
    assert (tmp_path / "c.obu").read_bytes() == (tmp_path / "a.obu").read_bytes()


def test_a_photographs_trial_codes_at_most_two_percent_of_it_in_tiles_from_all_over() -> None:
    assert tiles_of(512, 384) is None
    assert (tiles_of(640, 360), tiles_of(1920, 1080), tiles_of(4000, 3000)) == ((2, 32), (3, 64), (7, 64))
    for width, height in ((640, 360), (641, 999), (4000, 3000), (60000, 64)):
        found = tiles_of(width, height)
        assert found is not None
        assert (found[0] * found[1]) ** 2 <= 0.02 * width * height
        assert found[0] * found[1] <= min(width, height)


@pytest.mark.parametrize(("seconds", "says"), [(0.3, "will not pay here"), (0.0, "It saves")])
@pytest.mark.usefixtures("libaom")
def test_a_photograph_with_masks_is_checked_on_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, says: str
) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p/manifest.json").write_text('{"kind": "av1part-pipeline"}')
    monkeypatch.setattr("integration.encoding.trial.SHARE", 0.1)  # of a small photograph
    monkeypatch.setattr(Pipeline, "load", lambda path, provider, threads: none_only(seconds))
    words = ("encode", CHELSEA, "--pipeline", tmp_path / "p", "--cq", "20", "--cpu-used", "3", "--no-4way")
    told = done(*words, "-o", tmp_path / "o.obu")
    assert "on 96x96 pixels of the photograph" in told.stderr
    assert says in told.stderr
    assert "estimated by coding 96x96 pixels of the photograph both ways" in told.stdout
    small = done(*words, "-o", tmp_path / "small.obu", "--size", "64x64")
    assert "photograph" not in small.stderr
    assert "unknown: too few frames or pixels" in small.stdout


@pytest.mark.usefixtures("libaom")
def test_a_photograph_gets_no_trial_of_a_pruner_and_the_report_says_where_its_figure_is_from(tmp_path: Path) -> None:
    told = done("encode", CHELSEA, "-o", tmp_path / "o.ivf", "--size", "400x300", "--cq", "40")
    assert "Trial" not in told.stderr
    assert "expected saving: about " in told.stdout
    assert "\nsaved:" not in told.stdout
    assert "as expected from the pruner's card" in told.stdout
    assert "not measured here" in told.stdout
    assert cli("encode", CHELSEA, "-o", tmp_path / "o.ivf").exit_code == 1
