"""The benchmark's page: the answer in words, figures whose arms and labels can be told apart, nothing cut off."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.path import Path as Line
from support.chromium import CHROMIUM
from support.layout import assert_readable

from integration.bench.figures import arm_style, curves, pareto
from integration.bench.report import write_report
from integration.bench.verdict import verdicts
from integration.pipeline.policy import Policy

NAMES = ("to the moon and back with a name that goes on and on", "b")
PSNR = (42.0, 38.0, 34.0, 30.0)


def arm(
    kind: str, cpu_used: int, saving: float, loss: float, own: float = 0.0, under: float | None = None, *,
    price: float | None = None,
) -> Any:  # fmt: skip
    """An arm of a report, equal on both clips."""
    losses = {"akima": loss, "pchip": loss}
    points = [
        {"cq": cq, "bytes": round(size * (1 + loss / 100)), "psnr_y": psnr}
        for cq, size, psnr in zip((20, 32, 43, 55), (9000, 4200, 2100, 1100), PSNR, strict=True)
    ]
    clip = {"loss": losses, "loss_ssim": loss, "loss_yuv": loss, "saving": saving, "points": points}
    return {
        "name": f"{kind} at {cpu_used}", "kind": kind, "price": price, "cpu_used": cpu_used,
        "loss": losses, "loss_ssim": loss, "loss_yuv": loss,
        "saving": saving, "saving_spread": [saving - 1, saving + 1], "under_frontier": under,
        "own_preset": {"loss": loss, "saving": own, "saving_spread": None}, "worst": {"clip": NAMES[0], "loss": loss},
        "inference_seconds": 1.0, "inference_share": 0.1, "masked_nodes": 0.5, "lost_nodes": 0.01,
        "threads": {"1": {"wall_saving": saving}, "4": {"wall_saving": saving}}, "clips": dict.fromkeys(NAMES, clip),
    }  # fmt: skip


def report(*masked: Any) -> Any:
    """A report of four native presets and these arms."""
    natives = [arm("native", p, *place) for p, place in enumerate([(0, 0), (20, 0.5), (55, 1.5), (75, 4)], 1)]
    pipeline = {
        "node": 16,
        "sha256": "1" * 64,
        "stages": ["2"],
        "learnt_from_cpu_used": 1,
        "pruner": None,
        "price": None,
    }
    return {
        "arms": [*natives, *masked], "anchor": "native at 1", "clips": list(NAMES), "reused": 0, "encodes": 9,
        "settings": {"cq": [20, 32, 43, 55], "repeats": 2, "threads": [1, 4]},
        "definitions": {"time saving": "what is saved " * 20}, "format_version": 3,
        "pipelines": [{**pipeline, "policy": Policy.of(drop_ab_below=0.25).to_dict()}],
    }  # fmt: skip


MASKED = (
    arm("pipeline", 1, 12, 0.1, 12, 0.2), arm("pipeline", 2, 30, 0.9, 12, -0.1),
)  # fmt: skip


def test_a_gain_and_a_loss_are_said_in_words() -> None:
    gain, loss = verdicts(report(*MASKED))
    assert (gain.tone, loss.tone) == ("good", "bad")
    assert gain.text == (
        "A gain: pipeline at 1 saves 12.0% of the CPU time of native at 1, for 0.10% more bytes at equal PSNR-Y. At "
        "its saving of 12.0% against native at 1, libaom's own presets cost 0.20 points of BD-rate more."
    )
    assert loss.text.startswith("A loss: pipeline at 2 saves 12.0%")
    assert "presets cost 0.10 points of BD-rate less" in loss.text
    (slower,) = verdicts(report(arm("pipeline", 2, -3, -0.2, -3)))
    assert slower.tone == "bad"
    assert "spends 3.0% more CPU time than native at 2, for 0.20% fewer bytes" in slower.text
    assert "outside that of the measured presets" in slower.text
    assert "nothing to judge" in verdicts(report())[0].text


def test_the_page_starts_with_the_answer_and_has_the_thresholds_in_a_table(tmp_path: Path) -> None:
    html = write_report(report(*MASKED), tmp_path).read_text()
    assert html.index('<p class="answer good">A gain') < html.index('<p class="answer bad">A loss') < html.index("<h2>")
    assert re.search(r'<th scope="row">drop_ab_below</th><td>0.25</td>', html)
    assert '<td class="bad">-0.10</td>' in html
    assert html.count("<caption") == html.count("<table") == 4
    assert re.findall(r"<th(?! scope=)", html.replace("<thead", "")) == []


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: the report was not looked at")
def test_the_page_can_be_read_on_a_phone_a_desk_and_paper(tmp_path: Path) -> None:
    assert_readable(write_report(report(*MASKED), tmp_path), tmp_path)


def test_no_two_arms_look_alike() -> None:
    prices = [arm(f"pruner {price}", preset, 9, 0.1, price=price) for price in (0.02, 0.1, 0.5) for preset in (1, 2)]
    found = report(*MASKED, *prices)
    styles = [arm_style(found, one) for one in found["arms"]]
    looks = [(s["color"], s["marker"], s["linestyle"]) for s in styles]
    assert len(set(looks)) == len(looks)
    assert len({s["color"] for s in styles[:4]}) == 4, "native presets of one colour"


@pytest.mark.parametrize(
    "sizes", [(9000, 4200, 2100, 1100), (90000, 80000, 70000, 65000), (10**6, 10**5, 10**4, 10**3)]
)
def test_the_axis_of_bytes_has_numbers(sizes: tuple[int, ...]) -> None:
    found = report()
    for one in found["arms"]:
        for point, size in zip(one["clips"]["b"]["points"], sizes, strict=True):
            point["bytes"] = size
    figure = curves(found, "b")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    ticks = [t.get_text() for t, x in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True) if low <= x <= high]
    assert len(ticks) >= 3
    assert all(re.fullmatch(r"[\d,]+", tick) for tick in ticks)


def test_labels_sit_on_no_line_and_on_no_other_label() -> None:
    figure = pareto(report(*MASKED))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 6
    lines = [axes.transData.transform(line.get_xydata()) for line in axes.lines if len(line.get_xydata()) > 1]
    lines += [axes.transData.transform(s) for bars in axes.collections for s in bars.get_segments()]
    for line, box in itertools.product(lines, boxes):
        assert not Line(line).intersects_bbox(box, filled=False)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
