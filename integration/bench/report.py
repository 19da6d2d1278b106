"""A benchmark's report on disk: JSON for scripts, and one page with all pictures in it."""

from pathlib import Path

from integration.bench.figures import draw_curves, draw_pareto
from integration.bench.run import Report
from integration.bench.summary import ArmEntry, Summary
from toolkit.files import atomic_write_bytes, atomic_write_json
from toolkit.reports.page import data_uri, render

_COLUMNS = (
    "arm",
    "BD-rate",
    "PCHIP",
    "SSIM",
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
FRONTIER_COLUMN = _COLUMNS.index("under the frontier")


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


def reuse(report: Report) -> str:
    """Sentence saying that some times are an earlier run's, and how to get fresh ones; empty where none are."""
    if not report["reused"]:
        return ""
    return (
        f"{report['reused']} of {report['encodes']} encodes were made by an earlier run and kept in the report folder: "
        "their times are that run's, not interleaved with the others. An empty folder gives fresh, interleaved timings."
    )


def write_report(report: Report, folder: Path) -> Path:
    """Write report.json, pareto.svg and index.html beside the frames drawn in `folder`; return the page's path."""
    pareto = draw_pareto(report)
    pictures = {clip: draw_curves(report, clip) for clip in report["clips"]}
    page = render(
        "integration",
        "bench.html.jinja",
        report=report,
        reuse=reuse(report),
        columns=columns(report),
        frontier_column=FRONTIER_COLUMN,
        rows=[arm_cells(arm) for arm in report["arms"]],
        pareto=data_uri(pareto),
        pictures={clip: data_uri(svg) for clip, svg in pictures.items()},
        views={
            v["file"]: data_uri((folder / v["file"]).read_bytes(), "png")
            for own in report["views"].values()
            for v in own
        },
    )
    atomic_write_json(folder / "report.json", report)
    atomic_write_bytes(folder / "pareto.svg", pareto.encode())
    atomic_write_bytes(folder / "index.html", page.encode())
    return folder / "index.html"
