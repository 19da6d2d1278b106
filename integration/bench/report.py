"""A benchmark's report on disk: JSON for scripts, and one page with all pictures in it."""

from pathlib import Path

from integration.bench.figures import draw_curves, draw_pareto
from integration.bench.run import BenchReport
from integration.bench.summary import ArmEntry, PipelineEntry, Summary
from integration.bench.verdict import verdicts
from toolkit.files import atomic_write_bytes, atomic_write_json
from toolkit.reports.page import render
from toolkit.reports.section import Cell, Section

_COLUMNS = (
    "arm",
    "BD-rate",
    "PCHIP",
    "SSIM",
    "all planes",
    "time saving",
    "spread",
    "under the frontier",
    "BD-rate to its preset",
    "saving to its preset",
    "inference",
    "masked",
    "wrongly",
    "worst clip",
)
_JUDGED = ("under the frontier", "saving to its preset")


def columns(report: Summary) -> list[str]:
    """Column heads of the table of arms."""
    threads = report["settings"]["threads"]
    return [*_COLUMNS, *(f"wall, {count} thread{'s' if count > 1 else ''}" for count in threads)]


def arm_cells(arm: ArmEntry) -> list[str]:
    """One arm's row of the table, text in the order of `columns`; empty where a measure does not apply."""
    native, spread = arm["kind"] == "native", arm["saving_spread"]
    own = arm["own_preset"]
    return [
        arm["name"],
        f"{arm['loss']['akima']:+.2f}%",
        f"{arm['loss']['pchip']:+.2f}%",
        "" if arm["loss_ssim"] is None else f"{arm['loss_ssim']:+.2f}%",
        "" if arm["loss_yuv"] is None else f"{arm['loss_yuv']:+.2f}%",
        f"{arm['saving']:.1f}%",
        f"{spread[0]:.1f} to {spread[1]:.1f}" if spread else "",
        "" if arm["under_frontier"] is None else f"{arm['under_frontier']:+.2f}",
        "" if native else f"{own['loss']:+.2f}%",
        "" if native else f"{own['saving']:+.1f}%",
        f"{arm['inference_share']:.1%}" if arm["inference_seconds"] else "",
        f"{arm['masked_nodes']:.1%}" if arm["masked_nodes"] else "",
        f"{arm['lost_nodes']:.2%}" if arm["masked_nodes"] else "",
        f"{arm['worst']['clip']} {arm['worst']['loss']:+.2f}%",
        *(f"{wall['wall_saving']:.1f}%" for wall in arm["threads"].values()),
    ]


def _row(arm: ArmEntry) -> list[Cell]:
    """`arm_cells`, the judged ones toned by their sign."""
    cells = [Cell(text) for text in arm_cells(arm)]
    for place, text in ((place, cells[place].text) for place in map(_COLUMNS.index, _JUDGED)):
        if text.strip("+-0.%"):
            cells[place] = Cell(text, "bad" if text.startswith("-") else "good")
    return cells


def _clip_row(arm: ArmEntry, clip: str) -> list[Cell]:
    own = arm["clips"][clip]
    ssim = "" if own["loss_ssim"] is None else f"{own['loss_ssim']:+.2f}%"
    texts = (arm["name"], f"{own['loss']['akima']:+.2f}%", f"{own['loss']['pchip']:+.2f}%", ssim)
    return [*map(Cell, texts), Cell(f"{own['saving']:.1f}%")]


def thresholds(pipeline: PipelineEntry) -> Section:
    """Table of a policy: a row for each threshold, a column for each range of qindex."""
    ranges = pipeline["policy"]["ranges"]
    names = [name for name in ranges[0] if name != "to_qindex"]
    rows = [[Cell(name), *(Cell(f"{own[name]:g}") for own in ranges)] for name in names]
    title = f"Policy of pipeline {pipeline['sha256'][:12]}, {pipeline['node']}x{pipeline['node']} nodes"
    if pipeline["pruner"] and pipeline["price"]:
        title += f"; pruner {pipeline['pruner'][:12]} inside, price {pipeline['price']:g}"
    return Section(title, columns=("threshold", *(f"to qindex {own['to_qindex']}" for own in ranges)), rows=rows)


def reuse(report: BenchReport) -> str:
    """Sentence saying that some times are an earlier run's, and how to get fresh ones; empty where none are."""
    if not report["reused"]:
        return ""
    return (
        f"{report['reused']} of {report['encodes']} encodes were made by an earlier run and kept in the report folder: "
        "their times are that run's, not interleaved with the others. An empty folder gives fresh, interleaved timings."
    )


def write_report(report: BenchReport, folder: Path) -> Path:
    """Write report.json, pareto.svg and index.html into `folder`; return the page's path."""
    pareto = draw_pareto(report)
    pictures = {clip: draw_curves(report, clip) for clip in report["clips"]}
    page = render(
        "integration",
        "bench.html.jinja",
        report=report,
        reuse=reuse(report),
        verdicts=verdicts(report),
        columns=columns(report),
        rows=[_row(arm) for arm in report["arms"]],
        policies=[thresholds(pipeline) for pipeline in report["pipelines"]],
        pareto=pareto,
        pictures=pictures,
        clip_rows={clip: [_clip_row(arm, clip) for arm in report["arms"]] for clip in report["clips"]},
    )
    atomic_write_json(folder / "report.json", report)
    atomic_write_bytes(folder / "pareto.svg", pareto.encode())
    atomic_write_bytes(folder / "index.html", page.encode())
    return folder / "index.html"
