"""Every table of a result stands in the pages as the result has it, with the commands that printed its figures."""

import re
import sys
from pathlib import Path

import click
import pytest
from support.places import ROOT

from benchmarks.tables import PLACE, RESULTS, Column, fill, load, pages, table, unused, written

PAGES = [page for page in pages() if PLACE.search(page.read_text())]


def flat(text: str) -> str:
    """Text in one line, without the backslashes and breaks of a long command."""
    return re.sub(r"\s+", " ", text.replace("\\\n", " "))


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_tables_of_a_page_are_those_of_the_results(page: Path) -> None:
    text = page.read_text()
    assert fill(text) == text, "run `python benchmarks/tables.py`"
    for place in PLACE.finditer(text):
        result = load(place[2])
        for command in () if result.gone else result.commands:
            assert flat(command) in flat(text), f"{place[2]}: the page lacks `{command}`"


def test_every_result_is_shown_and_says_where_it_comes_from() -> None:
    assert unused() == []
    results = [load(file.stem) for file in RESULTS.glob("*.json")]
    assert len(results) >= 19
    for result in results:
        assert result.commands
        assert result.machine
        assert result.rows
        assert result.date is None or re.fullmatch(r"\d{4}-\d\d-\d\d", result.date)


def test_the_readme_claims_what_the_results_have() -> None:
    readme = flat((ROOT / "README.md").read_text())
    photographs, frames = (
        {row[0]: row for row in load(f"pruner-{name}").rows} for name in ("photographs", "key-frames")
    )
    saved, lost = photographs["pruner at 0.03 at 1"][5]
    assert f"saved {saved:.0f}% of cpu-used 1's CPU time for {lost:.2f}% more bytes" in readme
    (saved, lost), (saved_at_3, lost_at_3) = (frames[f"pruner at 0.03 at {speed}"][5] for speed in (1, 3))
    assert (
        f"it saved {saved:.0f}% for {lost:.2f}%, and at cpu-used 3 {saved_at_3:.0f}% for {-lost_at_3:.2f}% fewer"
        in readme
    )


def test_a_changed_figure_changes_the_page() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    changed = text.replace("| native at 1 | +1.21% |", "| native at 1 | +1.12% |")
    assert changed != text
    assert fill(changed) == text


def test_a_result_with_an_unknown_entry_or_a_short_row_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.tables.RESULTS", tmp_path)
    good = (RESULTS / "pruner-ffmpeg.json").read_text()
    for name, text in (("entry", good.replace('"title"', '"titel"', 1)), ("short", good.replace(", 35.4]", "]"))):
        (tmp_path / f"{name}.json").write_text(text)
        with pytest.raises(click.ClickException, match=f"{name}.json: "):
            load(name)


def test_a_cell_is_written_by_its_column() -> None:
    assert written(-0.004, Column("x", "{:+.2f}%")) == "-0.00%"
    assert written([42.6, 0.49], Column("x", "{:.1f}% for {:+.2f}%")) == "42.6% for +0.49%"
    assert written(None, Column("x", "{:.1f}")) == ""
    assert written("not charged", Column("x", "{:.1f}")) == "not charged"


def test_a_report_of_the_benchmark_becomes_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for name in ("tables", "zoo_card", "results"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import results

    def arm(name: str, kind: str, loss: float) -> dict[str, object]:
        return {"name": name, "kind": kind, "loss": {"akima": loss}, "loss_ssim": None, "saving": 43.21,
                "under_frontier": None, "own_preset": {"loss": 0.5, "saving": 40.0},
                "worst": {"clip": "Storm", "loss": 4.126}}  # fmt: skip

    settings = {"size": "64x64", "keyint": 1, "presets": [0, 1], "masked": [1], "cq": [32], "repeats": 1}
    arms = [arm("native at 0", "native", 0.0), arm("native at 1", "native", 1.0), arm("pruner0.03 at 1", "pruner", 1.5)]
    report = {"arms": arms, "anchor": "native at 0", "libaom": "3.14.1", "settings": settings}
    made = results.result_of(report, "a title", results.command_of(report, "photo-8bit"), "2 cores", None)
    assert made.versions == {"libaom": "3.14.1"}
    assert made.commands == ["av1part bench encoder SOURCE... --pruner photo-8bit --presets 0,1 --masked 1 --cq 32"
                             " --repeats 1 --size 64x64"]  # fmt: skip
    assert [row[0] for row in made.rows] == ["native at 1", "pruner0.03 at 1"]
    assert table(made).splitlines()[3] == "| pruner0.03 at 1 | +1.50% | | 43.2% | | 40.0% for +0.50% | Storm +4.13% |"
