import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageFont

from toolkit.cli.main import main
from toolkit.data import preview
from toolkit.data.blockset import BlockSet
from toolkit.data.info import dataset_info
from toolkit.data.preview import COLOURS, INSIDE, legend_lines, write_preview
from toolkit.data.write import Source, make_records, write_blockset
from toolkit.partition import HORZ_A, HORZ_B, NAMES, NONE, STAGES, VERT_A, VERT_B
from toolkit.sample.attribution import FOLDER as SAMPLE


def test_every_count_agrees_with_the_blocks(blockset_10: Path) -> None:
    data = BlockSet.load(blockset_10)
    info = dataset_info(data)
    assert info["blocks"] == len(data.blocks) == sum(s["blocks"] for s in info["sources"])
    assert {k: v["sources"] for k, v in info["splits"].items()} == {"train": 3, "val": 2, "test": 2}
    assert info["licences"] == {"CC0-1.0": 7}
    for split in ("train", "val", "test"):
        all_ids = data.split_blocks(split)
        for qindex in (60, 200):
            counts = info["histogram"]["partition"][split][str(qindex)]
            assert [counts[n] for n in NAMES] == np.bincount(
                all_ids.partition[all_ids.qindex == qindex], minlength=10
            ).tolist()
        for key, stage in STAGES.items():
            blocks = data.split_blocks(split, key)
            sums = [sum(q[c] for q in info["histogram"][key][split].values()) for c in stage.classes]
            assert sums == np.bincount(blocks.target, minlength=len(stage.classes)).tolist()
            best = info["baselines"][key][split]["best_constant_by_accuracy"]
            assert best["accuracy"] == pytest.approx(max(sums) / sum(sums))
    for key in STAGES:
        kept = sum(len(data.split_blocks(split, key)) for split in ("train", "val", "test"))
        assert kept + sum(info["left_out"][key].values()) == info["blocks"]


def test_the_command_prints_json_or_tables_and_a_preview(blockset_8: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke(main, ["data", "info", str(blockset_8), "--json", "--preview", str(tmp_path / "p.png")])
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert {"sources", "blocks", "splits", "histogram", "baselines"} <= found.keys()
    with Image.open(tmp_path / "p.png") as image:
        assert image.width > 400
    tables = CliRunner().invoke(main, ["data", "info", str(blockset_8)]).stdout
    for word in ("CC0-1.0", "Stage 3-ab", "HORZ_4", "Trivial baselines", "cut by the frame edge"):
        assert word in tables


def test_a_broken_set_exits_with_1(tmp_path: Path) -> None:
    run = CliRunner().invoke(main, ["data", "info", str(tmp_path / "none")])
    assert (run.exit_code, "no such folder" in run.stderr, run.stdout) == (1, True, "")


def test_a_split_without_blocks_of_a_stage_has_no_baseline(make_blockset: Callable[..., Path], tmp_path: Path) -> None:
    info = dataset_info(BlockSet.load(make_blockset(tmp_path / "d", splits={"val": 1}, partitions=(0,))))
    assert info["baselines"]["2"] == {}
    assert info["baselines"]["1"]["val"]["best_constant"]["class"] == "NONE"


def colours_at(path: Path, box: tuple[int, int, int, int]) -> set[tuple[int, int, int]]:
    with Image.open(path) as image:
        return {pixel for _, pixel in image.convert("RGB").crop(box).getcolors(1 << 20) or []}


def test_the_preview_outlines_what_was_decided_and_only_that(tmp_path: Path) -> None:
    luma = np.full((1, 32, 48), 100, np.uint8)
    records = make_records(0, 0, [0, 0, 16], [0, 16, 0], 9, [3, 255, 1])
    write_blockset(tmp_path / "d", [Source("a", "train", "0" * 64, luma)], records, 8, {})
    write_preview(BlockSet.load(tmp_path / "d"), tmp_path / "p.png")
    left, top, node = 8, 8 + 22, 32  # margin, margin and title, a node at twice its size
    grey, red, yellow = (75, 75, 75), (255, 69, 58), (255, 214, 10)
    boxes = [
        (left + x * node, top + y * node, left + (x + 1) * node, top + (y + 1) * node)
        for x, y in ((0, 0), (1, 0), (0, 1))
    ]
    assert [colours_at(tmp_path / "p.png", box) for box in boxes] == [{grey, red}, {grey}, {grey, yellow}]


def test_the_legend_tells_every_ab_apart_and_says_what_no_outline_means(tmp_path: Path) -> None:
    luma = np.full((1, 32, 48), 100, np.uint8)
    records = make_records(0, 0, [0, 0], [0, 16], 9, [0, 255])
    write_blockset(tmp_path / "d", [Source("a", "train", "0" * 64, luma)], records, 8, {})
    write_preview(BlockSet.load(tmp_path / "d"), tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as image:
        legend = colours_at(tmp_path / "p.png", (0, 8 + 22 + 64, *image.size))
    assert len({COLOURS[p] for p in (HORZ_A, HORZ_B, VERT_A, VERT_B)}) == 4
    assert set(COLOURS) <= legend
    assert min(COLOURS[NONE]) > 191, "darkened white is 191: an outline of NONE would not be seen on it"
    entries = [partition for line in legend_lines(760, ImageFont.load_default(15)) for _, partition in line]
    assert entries == [*range(10), None]
    assert "larger" in INSIDE


def test_a_preview_of_loose_blocks(tmp_path: Path) -> None:
    luma = np.random.default_rng(0).integers(0, 1024, (900, 16, 16)).astype(np.uint16)
    records = make_records(0, np.arange(900), 0, 0, 40, np.arange(900) % 10)
    write_blockset(tmp_path / "d", [Source("a", "val", "0" * 64, luma)], records, 10, {})
    write_preview(BlockSet.load(tmp_path / "d"), tmp_path / "p.png")
    assert (48, 213, 255) in colours_at(tmp_path / "p.png", (0, 0, 400, 300))


def test_the_preview_shows_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = BlockSet.load(SAMPLE)
    assert len(data.sources) == 24
    drawn: list[str] = []
    title = preview._title
    monkeypatch.setattr(preview, "_title", lambda *given: drawn.append(data.sources[given[1]]["name"]) or title(*given))
    write_preview(data, tmp_path / "p.png")
    assert set(drawn) == {source["name"] for source in data.sources}
    with Image.open(tmp_path / "p.png") as sheet:
        assert sheet.height > 3 * preview.WINDOW[0] * preview.SCALE + 2 * preview.THUMB[0]
