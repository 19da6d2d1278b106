"""`av1part bench encoder`: measures that follow their definitions, encodes made once, a page that stands alone."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from support.chromium import CHROMIUM, in_chromium
from support.libaom import IN_USE
from support.pictures import frame

from integration.bench.bd import Curve, Place, bd_rate, frontier_loss, time_saving
from integration.bench.config import BenchConfig
from integration.bench.report import write_report
from integration.bench.run import run_bench
from integration.bench.session import Session, forbids
from integration.codec.encoder import EncoderSettings
from integration.commands.bench import bench
from integration.media.ssim import SsimMeter, ssim_decibels
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.pipeline_set import PipelineSet
from integration.pipeline.policy import Policy, bits
from integration.pipeline.stages import Cascade
from toolkit.cli.main import main
from toolkit.errors import ToolkitError
from toolkit.files import sha256_file
from toolkit.partition import NONE, SPLIT
from toolkit.windows import Window

SIZE = "96x64"
CONFIG = BenchConfig(cq=(20, 40, 60), presets=(2, 4), masked=(4,), repeats=2, raw=SIZE)
PSNR = [30.0, 34.0, 38.0, 42.0]


class Texture:
    """A Stage-2 model that takes textured blocks for SPLIT."""

    def __init__(self, node: int = 16) -> None:
        self.window = Window(node)

    def logits(self, luma: np.ndarray, qindex: np.ndarray) -> np.ndarray:
        split = luma.astype(np.float32).std(axis=(1, 2, 3)) / 4 - 3
        return np.stack([split, np.zeros_like(split), -split / 2], axis=1)


def pipeline(bit_depth: int = 8, usage: str = "good", node: int = 16, **policy: float) -> Pipeline:
    """A pipeline around `Texture`, as `Pipeline.load` would give it."""
    manifest: dict[str, Any] = {
        "bundles": {"2": "0" * 64},
        "provider": "cpu",
        "sha256": "1" * 64,
        "bit_depth": bit_depth,
    }
    manifest["encoder"] = EncoderSettings(1, usage).recorded(IN_USE)
    return Pipeline(Path("pipe"), manifest, {}, Cascade({"2": Texture(node)}), Policy.of(**policy))


def pipelines(*args: Any, **options: Any) -> PipelineSet:
    return PipelineSet([pipeline(*args, **options)])


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


@pytest.mark.parametrize(("text", "size"), [("source", None), ("320x240", (320, 240))])
def test_a_size_is_typed_as_everywhere_else(text: str, size: tuple[int, int] | None) -> None:
    context = bench.commands["encoder"].make_context("encoder", ["clip", "-o", "report", "--size", text])
    assert context.params["size"] == size
    assert BenchConfig(size=size).settings["size"] == (None if size is None else text)


def test_time_saving_sums_over_cqs() -> None:
    assert time_saving([3, 1], [1, 1]) == pytest.approx(50)


def test_the_frontier_is_the_line_between_presets() -> None:
    native = [Place(0, 0), Place(50, 1), Place(70, 3)]
    assert frontier_loss(native, 25) == pytest.approx(0.5)
    assert frontier_loss(native, 60) == pytest.approx(2)
    assert frontier_loss(native, 71) is None


def test_what_a_mask_forbids_is_counted() -> None:
    labels = np.array([[SPLIT, NONE, 255, SPLIT]], np.uint8)
    found = forbids(np.array([[bits(NONE), bits(NONE), bits(NONE), 0]], np.uint16), labels)
    assert found.tolist() == [[True, False, False, False]]


@pytest.mark.usefixtures("libaom")
def test_a_run_is_complete_and_never_encodes_twice(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "report"
    seen: list[tuple[int, int]] = []
    report = run_bench([clip], output, CONFIG, pipelines(), lambda done, total, what: seen.append((done, total)))
    arms = {arm["name"]: arm for arm in report["arms"]}
    assert list(arms) == ["native at 2", "native at 4", "pipeline at 4"]
    assert seen[0] == (0, 18)
    assert seen[-1] == (18, 18)
    anchor, model = arms["native at 2"], arms["pipeline at 4"]
    assert (anchor["loss"]["akima"], anchor["saving"], anchor["saving_spread"]) == (0, 0, [0, 0])
    assert arms["native at 4"]["saving"] > 10
    assert 0 < model["masked_nodes"] <= 1
    assert 0 < model["lost_nodes"] < 1
    assert model["inference_seconds"] > 0 == arms["native at 4"]["inference_seconds"]
    assert model["saving_spread"][0] <= model["saving"] <= model["saving_spread"][1]
    assert arms["native at 4"]["lost_nodes"] == 0 == arms["native at 4"]["masked_nodes"]
    assert anchor["loss_ssim"] == 0 != model["loss_ssim"]
    assert anchor["threads"]["1"]["wall_saving"] == 0 < anchor["threads"]["1"]["wall_seconds"]
    assert model["threads"]["1"]["loss"] == model["loss"]["akima"]

    with (output / "measurements.jsonl").open("a") as lines:
        lines.write('{"key": "of an older version", "clip": "cat"}\n{"key": "cut sho')
    monkeypatch.setattr(Session, "_encode", None)
    again = run_bench([clip], output, CONFIG, pipelines())
    assert (report["encodes"], report["reused"]) == (18, 0)
    assert again == report | {"reused": 18}
    with pytest.raises(TypeError):  # another policy has to be encoded
        run_bench([clip], output, CONFIG, pipelines(drop_ab_below=0.9))

    page = write_report(report, output)
    text = page.read_text()
    assert "cat" in text
    assert "pipeline at 4" in text
    assert not [word for word in ("http://", "https://", "<script") if word in text]
    assert json.loads((output / "report.json").read_text()) == json.loads(json.dumps(report))
    if CHROMIUM:
        document, _, asked = in_chromium(page, tmp_path)
        assert asked == []
        assert "cross" not in document


@pytest.mark.usefixtures("libaom")
def test_times_of_an_earlier_run_are_named(tmp_path: Path, clip: Path) -> None:
    output = tmp_path / "report"
    words = ["bench", "encoder", clip, "-o", output, "--raw", SIZE, "--cq", "20,40,60", "--presets", 4, "--masked", 4]

    def run(repeats: int) -> tuple[dict[str, Any], str, str]:
        result = CliRunner().invoke(main, [str(word) for word in (*words, "--repeats", repeats, "--json")])
        assert result.exit_code == 0, result.output
        report: dict[str, Any] = json.loads((output / "report.json").read_text())
        assert json.loads(result.stdout) == report
        return report, result.stderr, (output / "index.html").read_text()

    report, said, page = run(1)
    assert (report["encodes"], report["reused"], said) == (3, 0, "")
    assert report["largest"] == SIZE
    assert ", arms interleaved." in page
    report, said, page = run(2)  # the first repeat is known
    assert (report["encodes"], report["reused"]) == (6, 3)
    for text in (said, page):
        assert "3 of 6 encodes were made by an earlier run" in text
        assert "An empty folder gives fresh" in text
    assert ", arms interleaved." not in page


@pytest.mark.usefixtures("libaom")
def test_10_bit_all_intra_and_two_numbers_of_threads(tmp_path: Path) -> None:
    path = tmp_path / "deep.yuv"
    path.write_bytes(b"".join(plane.tobytes() for plane in frame(96, 64, 10)))
    config = BenchConfig(
        cq=(20, 40, 60), presets=(4,), masked=(4,), repeats=1, raw=f"{SIZE}:10", usage="allintra", threads=(1, 2)
    )
    report = run_bench([path], tmp_path / "report", config, pipelines(10, "allintra"))
    native, model = report["arms"]
    assert model["masked_nodes"] > 0
    assert [p["bytes"] for p in model["clips"]["deep"]["points"]] != [
        p["bytes"] for p in native["clips"]["deep"]["points"]
    ]
    for arm in (native, model):
        assert list(arm["threads"]) == ["1", "2"]
        assert all(wall["wall_seconds"] > 0 for wall in arm["threads"].values())
    assert native["threads"]["2"]["loss"] == 0
    page = write_report(report, tmp_path / "report").read_text()
    assert "wall, 2 threads" in page
    lines = (tmp_path / "report" / "measurements.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["threads"] for line in lines) == [1] * 6 + [2] * 6

    with pytest.raises(ToolkitError, match="usage is 'good' there and 'allintra' here"):
        run_bench([path], tmp_path / "other", config, pipelines(10, "good"))


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_ssim_is_that_of_8x8_windows(bit_depth: int) -> None:
    top = (1 << bit_depth) - 1
    reference = frame(97, 65, bit_depth)[0]
    test = np.clip(reference + np.random.default_rng(0).integers(-top // 20, top // 20, reference.shape), 0, top)
    meter = SsimMeter(97, 65, bit_depth)
    meter.add(reference, test.astype(reference.dtype))
    small, least = (0.01 * top) ** 2, (0.03 * top) ** 2
    windows = []
    for y, x in np.ndindex(65 // 4 - 1, 97 // 4 - 1):
        a, b = (plane[4 * y : 4 * y + 8, 4 * x : 4 * x + 8].astype(float) for plane in (reference, test))
        spread = np.cov(a.ravel(), b.ravel())
        likeness = (2 * a.mean() * b.mean() + small) / (a.mean() ** 2 + b.mean() ** 2 + small)
        windows.append(likeness * (2 * spread[0, 1] + least) / (spread.trace() + least))
    assert meter.mean == pytest.approx(np.mean(windows), abs=1e-6)
    meter.add(reference, reference)
    assert meter.mean == pytest.approx((np.mean(windows) + 1) / 2, abs=1e-6)
    assert ssim_decibels(0.99) == pytest.approx(20)


@pytest.mark.usefixtures("libaom")
def test_clips_that_do_not_suit_are_refused_before_any_encode(tmp_path: Path, clip: Path) -> None:
    pipe = pipeline()
    pipe.manifest["bit_depth"] = 10
    with pytest.raises(ToolkitError, match="10 bit"):
        run_bench([clip], tmp_path / "report", CONFIG, PipelineSet([pipe]))

    trained = SimpleNamespace(manifest={"provenance": {"train_sources": [sha256_file(clip)]}})
    pipe = pipeline()
    pipe.bundles["2"] = trained  # type: ignore[assignment]
    with pytest.raises(ToolkitError, match="was trained on it"):
        run_bench([clip], tmp_path / "report", CONFIG, PipelineSet([pipe]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cq", "20,30"], "at least 3"),
        (["--masked", "5"], "not among --presets"),
        (["--cq", "a,b"], "whole numbers"),
    ],
)
def test_wrong_options_say_what_is_right(tmp_path: Path, clip: Path, options: list[str], words: str) -> None:
    result = CliRunner().invoke(
        main, ["bench", "encoder", str(clip), "-o", str(tmp_path / "r"), "--raw", SIZE, *options]
    )
    assert result.exit_code in (1, 2)
    assert words in result.output


def test_presets_to_9_are_compared_but_masks_end_at_6() -> None:
    assert BenchConfig(usage="allintra", presets=(6, 9), masked=(6,)).presets == (6, 9)
    for wrong, most in (({"presets": (6, 10)}, 9), ({"presets": (6, 7), "masked": (7,)}, 6)):
        with pytest.raises(ToolkitError, match=f"expected different numbers from 0 to {most}"):
            BenchConfig(**({"masked": (6,)} | wrong))
