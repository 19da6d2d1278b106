"""Comparing runs: verdicts and statistics by hand, refusals, and a report that a browser shows by itself."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import MakeBlockset
from scipy.stats import ttest_ind
from support.chromium import CHROMIUM, in_chromium
from support.layout import assert_readable

from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.experiments.compare import Comparison, compare_runs
from toolkit.experiments.figures import draw_comparison
from toolkit.experiments.groups import Group, difference
from toolkit.experiments.report import render_comparison
from toolkit.experiments.run_reliability import measure_reliability
from toolkit.experiments.run_summary import RunSummary
from toolkit.experiments.tables import sections
from toolkit.model.checkpoint import save_torch
from toolkit.model.config import ModelConfig
from toolkit.training.config import TrainConfig
from toolkit.training.run_folder import RunFolder
from toolkit.training.train import train

FAST: dict[str, Any] = {"init": "random", "epochs": 2, "batch_size": 64, "device": "cpu", "lr": 2e-3}


def run_once(data: BlockSet, path: Path, stage: str = "2", start: Path | None = None, **changes: Any) -> Path:
    model = ModelConfig(stage, "small", bit_depth=data.bit_depth)
    train(data, RunFolder(path), model, TrainConfig(**FAST | changes), start=start)
    return path


@pytest.fixture(scope="module")
def runs(blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Two recipes of two seeds each, and the Stage 1 of one of them."""
    data, folder = BlockSet.load(blockset_8), tmp_path_factory.mktemp("compare")
    stage1 = run_once(data, folder / "first", "1", epochs=1)
    transfer = {"recipe": "ulmfit", "init": "stage1", "epochs": 3, "freeze_epochs": 1, "lr_backbone": 1e-3}
    return {
        "stage1": [stage1],
        "scratch": [run_once(data, folder / f"scratch-{s}", recipe="scratch", seed=s) for s in (1, 2)],
        "ulmfit": [run_once(data, folder / f"ulmfit-{s}", start=stage1, seed=s, **transfer) for s in (1, 2)],
    }


def compare(*arguments: object) -> Any:
    result = CliRunner().invoke(main, ["compare", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def summary(scores: list[float], frozen: int, seed: int = 1, planned: int | None = None) -> RunSummary:
    """A run of these macro-F1, the first so many epochs frozen."""
    history = [
        {"epoch": i, "phase": "frozen" if i <= frozen else "unfrozen", "macro_f1": score, "seconds": 2.0}
        for i, score in enumerate(scores, 1)
    ]
    description = {"train": {"epochs": planned or len(scores), "seed": seed}}
    return RunSummary(Path("run"), "run", description, history)


@pytest.mark.parametrize(
    ("scores", "frozen", "verdict"),
    [
        ([0.46, 0.45, 0.30, 0.34], 2, "catastrophic forgetting"),
        ([0.46, 0.45, 0.42, 0.43], 2, "loss"),
        ([0.46, 0.45, 0.45, 0.465], 2, "no change"),
        ([0.46, 0.45, 0.30, 0.48], 2, "dropped, recovered"),
        ([0.46, 0.45, 0.46, 0.48], 2, "gain"),
        ([0.46, 0.45], 2, "never unfrozen"),
        ([0.46, 0.45], 0, "never frozen"),
    ],
)
def test_verdict_on_unfreezing(scores: list[float], frozen: int, verdict: str) -> None:
    assert summary(scores, frozen).verdict == verdict


def test_best_frozen_gain_convergence_and_time() -> None:
    run = summary([0.46, 0.45, 0.30, 0.475, float("nan"), 0.48], 2)
    assert run.best_frozen is not None
    assert run.best_frozen["epoch"] == 1
    assert run.gain == pytest.approx(0.02)
    assert run.converged == 4
    assert run.seconds == 12
    del run.history[0]["seconds"]
    assert run.seconds is None


def test_groups_are_compared_as_welch_did() -> None:
    first, second = [0.50, 0.52, 0.51], [0.47, 0.50, 0.46, 0.48]
    groups = [Group(str(v), tuple(summary([f], 0, s) for s, f in enumerate(v))) for v in (first, second)]
    found = difference(*groups)
    assert found is not None
    low, high = ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert (found.value - found.half_width, found.value + found.half_width) == pytest.approx((low, high))
    assert (low > 0) == (found.verdict == "exceeds the seeds")
    assert groups[0].deviation() == pytest.approx(np.std(first, ddof=1))


def test_the_seeds_overlap_or_one_seed_cannot_say() -> None:
    wide = Group("wide", tuple(summary([f], 0) for f in (0.40, 0.60)))
    narrow = Group("narrow", tuple(summary([f], 0) for f in (0.45, 0.46)))
    one = Group("one", (summary([0.9], 0),))
    constant = Group("constant", tuple(summary([f], 0) for f in (0.2, 0.2)))
    assert difference(wide, narrow).verdict == "within the seeds"  # type: ignore[union-attr]
    assert difference(one, narrow).verdict == "one seed: cannot say"  # type: ignore[union-attr]
    assert difference(narrow, constant).verdict == "exceeds the seeds"  # type: ignore[union-attr]
    assert difference(constant, constant).verdict == "within the seeds"  # type: ignore[union-attr]


def test_a_stage_1_that_never_left_its_frozen_epochs_is_said_by_train_and_by_compare(
    runs: dict[str, list[Path]], blockset_8: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two inits that are one: ImageNet's, and a Stage 1 that only ever learnt its head from there."""
    data = BlockSet.load(blockset_8)
    frozen = {"init": "stage1", "epochs": 1, "freeze_epochs": 1}
    first = runs["stage1"][0]
    idle = run_once(data, tmp_path / "idle", "1", start=first, **frozen)
    again = {"init": "stage1", "epochs": 2, "freeze_epochs": 1, "lr_backbone": 1e-3, "seed": 3}
    caplog.clear()
    one = run_once(data, tmp_path / "one", start=first, recipe="imagenet", **again)
    assert caplog.messages == []
    two = run_once(data, tmp_path / "two", start=idle, recipe="ulmfit", **again)
    assert "Stage 1 has the backbone that it started from (stage1)" in caplog.text
    assert "--freeze-epochs" in caplog.text
    for run, kind in ((one, "imagenet"), (two, "stage1")):  # as if the first had been from ImageNet
        description = json.loads((run / "run.json").read_text())
        description["init"]["kind"] = description["train"]["init"] = kind
        (run / "run.json").write_text(json.dumps(description))
    found = compare_runs([one, two])
    assert [d["verdict"] for d in found.to_dict()["differences"]] == ["equal weights"]
    assert "one (imagenet) and two (stage1) start from equal backbones" in found.notes[0]
    assert "one and two have equal weights" in found.notes[1]
    said = CliRunner().invoke(main, ["compare", str(one), str(two), "--no-calibration"]).output
    assert "0.0000 behind (equal weights)" in said
    assert compare_runs([one, runs["scratch"][0]]).notes == ()
    assert not any("equal weights" in note for note in compare_runs([one, runs["ulmfit"][0]]).notes)


def test_runs_of_one_seed_alone_are_not_judged_on_unfreezing(runs: dict[str, list[Path]]) -> None:
    def judged(paths: list[Path]) -> list[tuple[str, str]]:
        found = compare_runs([*runs["scratch"], *paths])
        table = next(section for section in sections(found, {}) if section.title == "Unfreezing")
        return [(row[-1].text, row[-1].tone) for row in table.rows if "ulmfit" in row[0].text]

    ((alone, tone),) = judged(runs["ulmfit"][:1])
    assert (alone.endswith(" (one seed: cannot say)"), tone) == (True, "quiet")
    ((both, _),) = judged(runs["ulmfit"])
    assert "one seed" not in both


def test_frozen_epochs_alone_are_doubted() -> None:
    assert "All 3 epochs are frozen" in TrainConfig(init="imagenet", epochs=3, freeze_epochs=8).doubts()[0]
    assert TrainConfig(init="random", epochs=3, freeze_epochs=8).doubts() == []
    assert TrainConfig(init="imagenet", epochs=3, freeze_epochs=2).doubts() == []


def test_unfinished_runs_do_not_count() -> None:
    group = Group("g", (summary([0.5], 0), summary([0.9], 0, planned=30)))
    assert group.values() == [0.5]
    assert group.deviation() is None


def test_seeds_are_grouped_and_everything_is_in_the_json(runs: dict[str, list[Path]]) -> None:
    found = compare(*runs["scratch"], *runs["ulmfit"])
    groups = {group["label"]: group for group in found["groups"]}
    assert set(groups) == {"scratch", "ulmfit"}
    assert [g["macro_f1"] for g in found["groups"]] == sorted((g["macro_f1"] for g in found["groups"]), reverse=True)
    for name, group in groups.items():
        best = [max(e["macro_f1"] for e in RunFolder(path).history()) for path in runs[name]]
        assert group["macro_f1"] == pytest.approx(np.mean(best))
        assert group["deviation"] == pytest.approx(np.std(best, ddof=1))
        assert [run["seed"] for run in group["runs"]] == [1, 2]
        assert all(run["seconds"] > 0 for run in group["runs"])
    assert {run["verdict"] for run in groups["scratch"]["runs"]} == {"never frozen"}
    assert all(run["best_frozen"]["epoch"] == 1 for run in groups["ulmfit"]["runs"])
    assert len(found["differences"]) == 1
    assert len(found["calibration"]) == 4
    assert all(c["nll_scaled"] <= c["nll"] + 1e-6 for c in found["calibration"].values())


def test_groups_of_one_recipe_are_told_apart_by_what_differs(
    runs: dict[str, list[Path]], blockset_8: Path, tmp_path: Path
) -> None:
    other = run_once(BlockSet.load(blockset_8), tmp_path / "other", recipe="scratch", seed=1, lr=5e-4)
    labels = {group.label for group in compare_runs([*runs["scratch"], other]).groups}
    assert labels == {"scratch, lr 0.002", "scratch"}


def test_other_stages_other_data_and_doubles_are_refused(
    runs: dict[str, list[Path]], make_blockset: MakeBlockset, tmp_path: Path
) -> None:
    with pytest.raises(ToolkitError, match=r"different stages.*stage 1: first; stage 2: scratch-1"):
        compare_runs([*runs["stage1"], runs["scratch"][0]])
    elsewhere = run_once(BlockSet.load(make_blockset(tmp_path / "data", seed=4)), tmp_path / "elsewhere", epochs=1)
    with pytest.raises(ToolkitError, match="different data sets"):
        compare_runs([runs["scratch"][0], elsewhere])
    with pytest.raises(ToolkitError, match="one experiment twice"):
        compare_runs([runs["scratch"][0], runs["scratch"][0]])
    limited = run_once(BlockSet.load(tmp_path / "data"), tmp_path / "limited", epochs=1, limit_val=20)
    with pytest.raises(ToolkitError, match="numbers of validation blocks"):
        compare_runs([elsewhere, limited])


def test_an_unfinished_run_is_said(runs: dict[str, list[Path]], tmp_path: Path) -> None:
    cut = RunFolder(shutil.copytree(runs["scratch"][0], tmp_path / "cut"))
    latest = cut.latest()
    save_torch(cut.path / "checkpoints" / "latest.pt", latest | {"epoch": 1, "history": latest["history"][:1]})
    found = compare_runs([cut.path, runs["scratch"][1]])
    assert found.groups[0].counted == (found.groups[0].runs[1],)
    assert any("cut is unfinished (1 of 2 epochs)" in note for note in found.notes)
    (cut.path / "checkpoints" / "latest.pt").unlink()
    with pytest.raises(ToolkitError, match="0 epochs are finished"):
        compare_runs([cut.path])


def test_a_checkpoint_that_is_not_the_measured_one_is_noticed(runs: dict[str, list[Path]], tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(runs["ulmfit"][0], tmp_path / "run"))
    worst = min(run.history(), key=lambda e: e["macro_f1"])
    shutil.copy(run.epoch_path(worst["epoch"]), run.artefact("model_best.pt"))
    with pytest.raises(ToolkitError, match="not the one that was measured"):
        measure_reliability([RunSummary.read(run.path)])
    with pytest.raises(ToolkitError, match="or pass --no-calibration"):
        measure_reliability([RunSummary.read(run.path)], tmp_path / "moved")


@pytest.fixture(scope="module")
def report(runs: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The HTML report; its Markdown lies beside it."""
    stem = tmp_path_factory.mktemp("report") / "report"
    hostile = stem.with_name("<b>|x")  # a run's folder is other people's text
    shutil.copytree(runs["ulmfit"][1], hostile)
    arguments = [*runs["scratch"], runs["ulmfit"][0], hostile, "-o", stem]
    result = CliRunner().invoke(main, ["compare", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    for text in ("is first with a macro-F1 of", "drawn by shares", "never frozen", "2 of 2"):
        assert text in result.output
    return stem.with_name("report.html")


def test_the_report_is_one_file_and_says_the_same_in_markdown(report: Path) -> None:
    html, markdown = report.read_text(), report.with_suffix(".md").read_text()
    sources = re.findall(r'(?:src|href)="([^"]{0,40})', html)
    assert len(sources) >= 8
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert "&lt;b&gt;|x" in html
    assert "<b>|x" not in html
    assert "<b>\\|x" in markdown
    for heading in ("Ranking", "Unfreezing", "Best of every class", "Calibration", "Every run", "Trivial baselines"):
        assert f"<h2>{heading}</h2>" in html
        assert f"## {heading}" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len({row.replace("\\|", "").count("|") for row in rows if row.startswith("| scratch-")}) == 1


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: the report was not looked at")
def test_a_browser_shows_the_report_and_asks_nobody(report: Path, tmp_path: Path) -> None:
    document, image, asked = in_chromium(report, tmp_path)
    assert asked == []
    assert "What the words mean</h2>" in document
    pixels_of = {colour: count for count, colour in image.getcolors(1 << 24) or []}
    # The tables' swatches have under 1000 pixels of each group's colour: the rest are curves, so pictures were decoded.
    assert min(pixels_of[0x2F, 0x6F, 0xB5], pixels_of[0xD9, 0x76, 0x2B]) > 2000
    pixels = np.asarray(image)
    dark = (pixels < 128).all(axis=2).any(axis=1)
    assert dark[:4000].mean() > 0.2  # text or lines down the whole page


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: the report was not looked at")
def test_the_report_can_be_read_on_a_phone_a_desk_and_paper(report: Path, tmp_path: Path) -> None:
    assert_readable(report, tmp_path)


def test_every_table_has_a_caption_and_heads_with_a_scope(report: Path) -> None:
    html = report.read_text()
    assert html.count("<caption") == html.count("<table") > 5
    assert re.findall(r"<th(?! scope=)", html.replace("<thead", "")) == []


def test_every_chart_has_a_legend(runs: dict[str, list[Path]]) -> None:
    found = compare_runs([*runs["scratch"], *runs["ulmfit"]])
    pictures = draw_comparison(found, measure_reliability(found.runs))
    for picture in (picture for section in pictures.values() for picture in section):
        assert 'id="legend_1"' in picture.svg, picture.title


@pytest.mark.parametrize("kind", ["html", "md"])
def test_nothing_is_said_of_unfreezing_where_nothing_was_frozen(runs: dict[str, list[Path]], kind: str) -> None:
    text = render_comparison(compare_runs(runs["scratch"]), {}, kind)
    text = re.sub(r"base64,[^\"]*", "", text)
    assert not re.search("frozen|unfreez|forgetting", text, re.IGNORECASE)
    assert "Unfreezing" in render_comparison(compare_runs([*runs["scratch"], runs["ulmfit"][0]]), {}, kind)


def test_runs_and_settings_are_named_as_they_were_given(runs: dict[str, list[Path]], tmp_path: Path) -> None:
    turned = tmp_path / "a\u202eb"
    turned.symlink_to(runs["scratch"][0])
    assert RunSummary.read(turned).name == r"a\u202eb"
    links = [tmp_path / "as I call it", tmp_path / "the other"]
    for link, recipe in zip(links, ("scratch", "ulmfit"), strict=True):
        link.symlink_to(runs[recipe][0])
    found = compare_runs(links)
    assert {run.name for run in found.runs} == {"as I call it", "the other"}
    assert {group.shown for group in found.groups} == {"as I call it (scratch)", "the other (ulmfit)"}
    first, second = found.groups
    long = RunSummary(second.runs[0].path, "b", {**second.runs[0].description}, second.runs[0].history)
    long.description["model"] = long.description["model"] | {"backbone": "efficientnet-lite0"}
    text = render_comparison(Comparison((first, Group("ulmfit", (long,))), ()), {}, "md")
    assert text.count("efficientnet-lite0") == 2  # in the ranking, and in what differs


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: the report was not looked at")
def test_the_browser_would_have_noticed_a_request(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<img src="http://example.invalid/x.png">')
    assert in_chromium(page, tmp_path)[2] == ["http://example.invalid/x.png"]
