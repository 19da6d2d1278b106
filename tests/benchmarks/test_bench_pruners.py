"""Benchmarks of pruners (benchmarks/pruner_*.py, pruners_beside.py, stage2_inside.py): they run, and mean it."""

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support.pictures import CHELSEA
from support.places import ROOT
from support.pruners import record_of

from integration.codec.libaom_build import Libraries
from integration.pruning.bundle import PrunerBundle
from toolkit.partition import HORZ, NONE, SPLIT
from toolkit.pruners.learn import LearnConfig, learn
from toolkit.pruners.record import ROW, SearchSet
from toolkit.search.table import DECISIONS, USUAL


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A benchmark, imported as Python does where it is started."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.delitem(sys.modules, name, raising=False)
    return import_module(name)


def printed(module: ModuleType, *words: object) -> str:
    run = CliRunner().invoke(module.main, [str(word) for word in words])
    assert run.exit_code == 0, run.output
    return run.stdout


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Crops of the cat: four to learn from, one to judge, one to prove, one that nothing has seen."""
    folder = tmp_path_factory.mktemp("photographs")
    paths = [folder / f"crop{index}.png" for index in range(7)]
    with Image.open(CHELSEA) as cat:
        for index, path in enumerate(paths):
            left, top = index % 4 * 90, index // 4 * 120
            cat.crop((left, top, left + 128, top + 128)).save(path)
    return paths


@pytest.fixture(scope="module")
def record(photographs: list[Path], libaom: Libraries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_of(photographs[:6], tmp_path_factory.mktemp("record"), cpu_used=2)


@pytest.mark.long
def test_baselines_are_measured_beside_the_pruner_that_knows_all(
    record: Path, photographs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "pruners"
    said = printed(script("pruner_baselines", monkeypatch), record, "-o", made, "--trees", "5")
    assert f"{made / 'variance'}: qindex, variance" in said
    assert {path.name for path in made.iterdir()} == {
        "variance", "none-cost", "pixels", "neighbours", "all", "permuted"
    }  # fmt: skip
    learnt = {name: PrunerBundle.load(made / name).manifest["learnt"] for name in ("all", "permuted")}
    assert learnt["all"]["config"] == learnt["permuted"]["config"]
    assert learnt["all"]["record_sha256"] != learnt["permuted"]["record_sha256"]

    pruners = ("--pruner", made / "all", "0.05,0.2", "--pruner", made / "permuted", "0.05,0.2")
    words = (photographs[6], "-o", tmp_path / "encodes", "--presets", "1,2", *pruners, "--size", "128x128")
    table = printed(script("pruners_beside", monkeypatch), *words)
    arms = ("native at 1", "native at 2", "all at 0.05", "all at 0.2", "permuted at 0.05", "permuted at 0.2")
    assert [line.split(" | ")[0].strip("| ") for line in table.splitlines()[2:8]] == list(arms)
    assert table.splitlines()[-1].startswith("| permuted |")

    worst = printed(script("pruner_worst", monkeypatch), record, made / "all", "--price", "1")
    assert [line.split("|")[1].strip() for line in worst.splitlines()[2:-2]] == ["8", "16"]
    assert worst.splitlines()[-1].startswith("All of 3 pictures: ")


def test_pruners_of_inter_frames_are_compared_on_clips(
    libaom: Libraries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tmp_path / "cat.y4m"
    with Image.open(CHELSEA) as cat:
        frames = [cat.convert("YCbCr").crop((60 + 3 * i, 40, 220 + 3 * i, 136)) for i in range(5)]
    planes = [
        plane.resize((160 // by, 96 // by)) for one in frames for plane, by in zip(one.split(), (1, 2, 2), strict=True)
    ]
    pictures = [b"".join(plane.tobytes() for plane in planes[at : at + 3]) for at in range(0, len(planes), 3)]
    clip.write_bytes(b"".join([b"YUV4MPEG2 W160 H96 F25:1 C420jpeg\n", *(b"FRAME\n" + one for one in pictures)]))
    pruners = ("--pruner", "video-8bit", "0.05", "--pruner", "video-8bit", "0.3")
    inter = ("--keyint", "240", "--lag", "3", "--size", "source", "--frames", "4", "--presets", "3,4", "--masked", "3")
    words = (clip, "-o", tmp_path / "encodes", *pruners, *inter)
    table = printed(script("pruners_beside", monkeypatch), *words)
    arms = ("native at 3", "native at 4", "video-8bit at 0.05", "video-8bit at 0.3")
    assert [line.split(" | ")[0].strip("| ") for line in table.splitlines()[2:6]] == list(arms)
    kept = [json.loads(line) for line in (tmp_path / "encodes" / "measurements.jsonl").read_text().splitlines()]
    assert {one["frames"] for one in kept} == {4}
    assert all(one["asked"] > 0 for one in kept if one["price"] is not None)


def test_a_pruner_is_ahead_by_what_the_other_loses_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    module = script("pruners_beside", monkeypatch)

    def arm(saving: float, loss: float) -> dict[str, object]:
        return {"saving": saving, "loss": {"akima": loss}}

    first, other = [arm(60, 1.5), arm(80, 3)], [arm(70, 3)]
    assert module.ahead(first, other, arm(50, 1)) == "+0.50 | "


def test_features_of_the_frame_are_the_same_for_all_its_nodes(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, data = script("pruner_frame", monkeypatch), SearchSet.load(record)
    frames = list(data.frames("train"))
    at = [i for i, feature in enumerate(data.features) if feature.name in module.OF_THE_FRAME]
    assert len(at) == 2
    for with_frame in (False, True):
        for own, loss, time in module.examples(frames, data.features, 16, "stop", with_frame):
            assert len(own) == len(loss) == len(time) > 0
            assert (np.ptp(own[:, at], axis=0) == 0).all()
            assert own[:, at].any() == with_frame
    lines = printed(module, record, "--epochs", "1").splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["all but two of the frame"] * 3 + ["all"] * 3


def test_a_decision_saves_more_where_it_is_alone_than_it_adds_to_others(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, data = script("pruner_points", monkeypatch), SearchSet.load(record)
    pruner = learn(
        list(data.frames("train")),
        data.features,
        LearnConfig(model="trees", trees=5, decisions=DECISIONS, least_rows=50),
    )
    frame = next(data.frames("val"))
    alone = sum(module.judged(frame, pruner, (decision,), 0.2)[1] for decision in USUAL)
    loss, saved = module.judged(frame, pruner, USUAL, 0.2)
    assert loss >= 0
    assert 0 < saved < alone
    assert saved < 1
    lines = printed(module, record, "--epochs", "1", "--price", "0.05").splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(module.SETS)


def test_stage_2_inside_the_search_asks_the_nodes_of_the_chosen_path(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script("stage2_inside", monkeypatch)
    rows = np.zeros(5, ROW)
    rows["parent"], rows["partition"] = (-1, 0, 0, 2, 3), (SPLIT, HORZ, SPLIT, NONE, SPLIT)
    assert module.on_path(rows).tolist() == [True, True, True, True, False]
    monkeypatch.setattr(module, "by_trees", lambda inputs, labels, asked: np.zeros(len(asked), np.int64))
    lines = printed(module, record).splitlines()
    assert "nodes of 6 photographs" in lines[0]
    assert [line.split("|")[1].strip() for line in lines[5:7]] == [
        "variance and qindex (2)", "ten luma features, qindex among them (10)"
    ]  # fmt: skip
