"""The demo's own parts: what it may delete, its clip and its closing table. `make demo` runs it whole."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeBlockset
from support.pictures import frame

from integration.codec.libaom_build import Libraries
from integration.demo.config import DemoConfig
from integration.demo.steps import SAMPLE, Demo
from integration.demo.table import Row, print_summary
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.partition import HORZ_4


def test_it_does_not_delete_what_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(ToolkitError, match="no demo's"):
        Demo(tmp_path, None, DemoConfig()).run()
    assert (tmp_path / "thesis.tex").read_text() == "all of it"


def test_it_has_the_embedded_set() -> None:
    data = BlockSet.load(SAMPLE)
    assert {s["split"] for s in data.sources} == {"train", "val", "test"}
    assert sum(f.stat().st_size for f in SAMPLE.rglob("*") if f.is_file()) <= 12_000_000


def test_the_clip_holds_a_test_source_s_luma_unchanged(make_blockset: MakeBlockset, tmp_path: Path) -> None:
    data = make_blockset(tmp_path / "set", bit_depth=10)
    demo = Demo(tmp_path / "out", data, DemoConfig())
    (tmp_path / "out").mkdir()
    path, layout = demo._write_clip()
    blocks = BlockSet.load(data)
    luma = blocks.luma(next(i for i, s in enumerate(blocks.sources) if s["split"] == "test"))[0]
    assert layout == f"{luma.shape[1]}x{luma.shape[0]}:10"
    assert path.read_bytes()[: luma.nbytes] == luma.tobytes()


def test_the_encodes_search_4_way_partitions_as_the_data_set_was_made(tmp_path: Path) -> None:
    assert Demo(tmp_path / "out", None, DemoConfig())._four_way() == "--four-way"
    sample = BlockSet.load(SAMPLE)
    assert sample.manifest["encoder"]["enable_1to4_partitions"] == 1
    assert (sample.blocks["partition"] == HORZ_4).any()


def test_the_table_says_weak_and_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    selected = {"epoch": 1, "macro_f1": 0.2, "baseline_macro_f1": 0.25, "baseline_class": "AB", "beats_baseline": False}
    parity: dict[str, Any] = {"providers": {"cpu": {"status": "passed"}, "cuda": {"status": "not-run"}}}
    row = Row("s3-ab", "3-ab", "stage1", Path("s3-ab.bundle"), 1.0, selected, parity)
    entry = {"class": "NONE", "accuracy": 0.5, "macro_f1": 0.1}
    scores = {"accuracy": 0.6, "macro_f1": 0.2, "baselines": {"majority": entry, "best_constant": entry}}
    print_summary([row], "none", "small", scores, None, 1.0)
    printed = capsys.readouterr().out
    for words in ("WEAK", "cuda: not-run", "Encodes: not run", "always NONE"):
        assert words in printed


def test_without_the_encoder_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AV1PART_CACHE", str(tmp_path / "empty"))
    assert Demo(tmp_path / "out", None, DemoConfig())._encode(tmp_path / "no.pipe") is None


def test_a_step_that_fails_ends_it(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError):
        Demo(tmp_path / "out", None, DemoConfig()).command("select", tmp_path / "no-run")


def test_the_verdict_charges_deciding_and_says_when_it_costs(capsys: pytest.CaptureFixture[str]) -> None:
    def coded(seconds: float, inference: float, size: int, psnr: float) -> dict[str, Any]:
        return {
            "bytes": size, "psnr_y": psnr, "encode_seconds": seconds, "inference_seconds": inference, "masked_blocks": 0
        }  # fmt: skip

    encodes = {
        "without masks": coded(4.0, 0.0, 1000, 40.0),
        "with masks": coded(3.0, 2.0, 1010, 39.9),
        "without a pruner": coded(4.0, 0.0, 1000, 40.0),
        "pruner photo-8bit": coded(3.0, 0.0, 1001, 39.95),
    }
    entry = {"class": "NONE", "accuracy": 0.5, "macro_f1": 0.1}
    scores = {"accuracy": 0.6, "macro_f1": 0.2, "baselines": {"majority": entry, "best_constant": entry}}
    print_summary([], "none", "small", scores, encodes, 1.0)
    printed = " ".join(capsys.readouterr().out.split())
    assert "with masks: COSTS 25% of the CPU time of the encode without masks, deciding charged, for +1.00%" in printed
    assert "pruner photo-8bit: saves 25% of the CPU time of the encode without a pruner" in printed
    assert "+0.10% bytes at -0.05 dB" in printed


def test_ffmpeg_codes_the_frame_with_and_without_the_pruner(
    libaom: Libraries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed: apt-get install ffmpeg")
    clip = tmp_path / "frame.yuv"
    clip.write_bytes(b"".join(plane.tobytes() for plane in frame(320, 192)))
    without, pruned = Demo(tmp_path, None, DemoConfig())._in_ffmpeg(clip, "320x192").values()
    assert without["bytes"] != pruned["bytes"]
    assert abs(without["psnr_y"] - pruned["psnr_y"]) < 0.5
    assert min(without["psnr_y"], without["encode_seconds"], pruned["encode_seconds"]) > 0
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Demo(tmp_path, None, DemoConfig())._in_ffmpeg(clip, "320x192") == {}
