"""`av1part bench encoder`: measures that follow their definitions, encodes made once, a page that stands alone."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pictures import frame

from integration.bd import Curve, Place, bd_rate, frontier_loss, time_saving
from integration.bench import run_bench
from integration.bench_config import BenchConfig
from integration.bench_masks import by_variance, forbidden, oracle, shuffled
from integration.bench_report import write_report
from integration.bench_run import Session
from integration.cascade import Cascade
from integration.encoder import encoder_settings
from integration.pipeline import Pipeline
from integration.policy import ALL, Policy, bits
from toolkit.cli.main import main
from toolkit.errors import ToolkitError
from toolkit.files import sha256_file
from toolkit.partition import NONE, SPLIT

SIZE = "96x64"
CONFIG = BenchConfig(cq=(20, 40, 60), presets=(2, 4), masked=(4,), against=("cnn-off", "oracle"), repeats=2, raw=SIZE)
PSNR = [30.0, 34.0, 38.0, 42.0]


class Texture:
    """A Stage-2 model that takes textured blocks for SPLIT."""

    def logits(self, luma: np.ndarray, qindex: np.ndarray) -> np.ndarray:
        split = luma.astype(np.float32).std(axis=(1, 2, 3)) / 4 - 3
        return np.stack([split, np.zeros_like(split), -split / 2], axis=1)


def pipeline(**policy: float) -> Pipeline:
    """A pipeline around `Texture`, as `Pipeline.load` would give it."""
    manifest: dict[str, Any] = {"bundles": {"2": "0" * 64}, "provider": "cpu", "bit_depth": 8, "sha256": "1" * 64}
    manifest["encoder"] = encoder_settings("good", 1, "3.12.1")
    return Pipeline(Path("pipe"), manifest, {}, Cascade({"2": Texture()}), Policy(**policy))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """One frame of 96x64."""
    path = tmp_path / "cat.yuv"
    path.write_bytes(b"".join(plane.tobytes() for plane in frame(96, 64)))
    return path


@pytest.mark.parametrize("method", ["akima", "pchip"])
def test_a_tenth_more_bytes_at_every_quality_is_ten_percent(method: str) -> None:
    anchor = Curve([100, 200, 400, 800], PSNR)
    more = Curve([110, 220, 440, 880], PSNR)
    assert bd_rate(anchor, more, method) == pytest.approx(10)
    assert bd_rate(anchor, Curve(anchor.rate[::-1], PSNR[::-1]), method) == pytest.approx(0)


def test_curves_that_tell_nothing_are_refused() -> None:
    anchor = Curve([100, 200, 400, 800], PSNR)
    with pytest.raises(ToolkitError, match="does not rise"):
        bd_rate(anchor, Curve([100, 90, 400, 800], PSNR))
    with pytest.raises(ToolkitError, match="overlap"):
        bd_rate(anchor, Curve(anchor.rate, [q + 30 for q in PSNR]))


def test_time_saving_sums_over_cqs() -> None:
    assert time_saving([3, 1], [1, 1]) == pytest.approx(50)


def test_the_frontier_is_the_line_between_presets() -> None:
    native = [Place(0, 0), Place(50, 1), Place(70, 3)]
    assert frontier_loss(native, 25) == pytest.approx(0.5)
    assert frontier_loss(native, 60) == pytest.approx(2)
    assert frontier_loss(native, 71) is None


@pytest.mark.parametrize("stages", ["2", "1+2+3"])
def test_an_oracle_never_forbids_what_was_chosen(stages: str) -> None:
    labels = np.array([[*range(10), 255]], np.uint8)
    mask = oracle(labels, stages)
    assert forbidden(mask, labels) == 0
    assert (mask[0, 8:] == 0).all()
    assert mask[0, SPLIT] == (bits(SPLIT) if stages == "1+2+3" else bits(NONE, SPLIT))
    assert (mask[0, 0] == bits(NONE)) == (stages == "1+2+3")


def test_what_a_mask_forbids_is_counted() -> None:
    labels = np.array([[SPLIT, NONE, 255, SPLIT]], np.uint8)
    assert forbidden(np.array([[bits(NONE), bits(NONE), bits(NONE), 0]], np.uint16), labels) == 1


def test_controls_remove_as_much_elsewhere() -> None:
    luma = frame(104, 64)[0]
    mask = pipeline().mask(luma, 100)
    assert len(np.unique(mask[:, :6])) > 2
    for other in (shuffled(mask, luma, 0), by_variance(mask, luma)):
        assert sorted(other.ravel()) == sorted(mask.ravel())
        assert (other[:, 6] == mask[:, 6]).all()
        assert (other != mask).any()


def test_by_variance_gives_split_to_texture() -> None:
    rng = np.random.default_rng(0)
    luma = np.repeat(rng.integers(100, 140, (16, 1)), 48, axis=1).astype(np.uint8)
    luma[:, :16], luma[:, 16:32] = 7, rng.integers(0, 256, (16, 16))
    mask = np.array([[ALL, ALL - bits(SPLIT), bits(NONE, SPLIT)]], np.uint16)
    assert by_variance(mask, luma).tolist() == [[ALL - bits(SPLIT), bits(NONE, SPLIT), ALL]]


@pytest.mark.usefixtures("libaom")
def test_a_run_is_complete_and_never_encodes_twice(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "report"
    seen: list[tuple[int, int]] = []
    report = run_bench([clip], output, CONFIG, pipeline(), lambda done, total, what: seen.append((done, total)))
    arms = {arm["name"]: arm for arm in report["arms"]}
    assert list(arms) == [
        *("native at 2", "native at 4", "pipeline at 4", "cnn-off at 4", "oracle 2 at 4", "oracle 1+2+3 at 4")
    ]
    assert seen[0] == (0, 36)
    assert seen[-1] == (36, 36)
    anchor, model = arms["native at 2"], arms["pipeline at 4"]
    assert (anchor["loss"]["akima"], anchor["saving"], anchor["saving_spread"]) == (0, 0, [0, 0])
    assert arms["native at 4"]["saving"] > 10
    assert model["masked_nodes"] > 0
    assert 0 < model["lost_nodes"] < 1
    assert model["inference_seconds"] > 0 == arms["oracle 2 at 4"]["inference_seconds"]
    assert model["saving_spread"][0] <= model["saving"] <= model["saving_spread"][1]
    assert arms["oracle 2 at 4"]["lost_nodes"] == 0 < arms["oracle 2 at 4"]["masked_nodes"]

    with (output / "measurements.jsonl").open("a") as lines:
        lines.write('{"key": "cut sho')
    monkeypatch.setattr(Session, "_encode", None)
    again = run_bench([clip], output, CONFIG, pipeline())
    assert again == report
    with pytest.raises(TypeError):  # another policy has to be encoded
        run_bench([clip], output, CONFIG, pipeline(drop_ab_below=0.9))

    page = write_report(report, output)
    text = page.read_text()
    assert "cat" in text
    assert "oracle 1+2+3 at 4" in text
    assert not [word for word in ("http://", "https://", "<script") if word in text]
    assert json.loads((output / "report.json").read_text()) == json.loads(json.dumps(report))


@pytest.mark.usefixtures("libaom")
def test_clips_that_do_not_suit_are_refused_before_any_encode(tmp_path: Path, clip: Path) -> None:
    pipe = pipeline()
    pipe.manifest["bit_depth"] = 10
    with pytest.raises(ToolkitError, match="10 bit"):
        run_bench([clip], tmp_path / "report", CONFIG, pipe)

    trained = SimpleNamespace(manifest={"provenance": {"train_sources": [sha256_file(clip)]}})
    pipe = pipeline()
    pipe.bundles["2"] = trained  # type: ignore[assignment]
    with pytest.raises(ToolkitError, match="was trained on it"):
        run_bench([clip], tmp_path / "report", CONFIG, pipe)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cq", "20,30"], "at least 3"),
        (["--masked", "5"], "not among --presets"),
        (["--against", "magic"], "expected some of"),
        (["--against", "random"], "Pass --pipeline"),
        (["--cq", "a,b"], "whole numbers"),
    ],
)
def test_wrong_options_say_what_is_right(tmp_path: Path, clip: Path, options: list[str], words: str) -> None:
    result = CliRunner().invoke(
        main, ["bench", "encoder", str(clip), "-o", str(tmp_path / "r"), "--raw", SIZE, *options]
    )
    assert result.exit_code in (1, 2)
    assert words in result.output
