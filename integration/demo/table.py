"""The demo's closing tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from rich.console import Console
from rich.table import Table

from toolkit.cli.tables import print_table, text_table

if TYPE_CHECKING:
    from integration.pipeline.score import Scores


class Encoded(TypedDict):
    """What is shown of an encode, as `av1part encode --json` prints it."""

    bytes: int
    psnr_y: float
    encode_seconds: float
    inference_seconds: float
    masked_blocks: int


class Selected(TypedDict):
    """What is shown of a choice of epoch, as `av1part select --json` prints it."""

    epoch: int
    macro_f1: float
    baseline_macro_f1: float
    baseline_class: str
    beats_baseline: bool


class Proven(TypedDict):
    """What is shown of a proof, as `av1part parity --json` prints it: results by execution provider."""

    providers: dict[str, dict[str, object]]


@dataclass(frozen=True)
class Row:
    """One run of the demo, with its bundle. `select` and `parity` are what these commands print as JSON."""

    name: str
    stage: str
    init: str
    bundle: Path
    seconds: float
    select: Selected
    parity: Proven


def print_summary(
    rows: list[Row],
    chosen: str,
    backbone: str,
    scores: "Scores",
    encodes: dict[str, Encoded] | None,
    seconds: float,
) -> None:
    """Print the runs and their proofs, the cascade's scores beside the trivial baselines, and the encodes."""
    console = Console(soft_wrap=True)
    print_table(console, _runs(rows, chosen, backbone))
    console.print(
        "* the Stage 2 in the cascade. Few blocks and epochs: this shows the path, not what the models can do."
    )
    print_table(console, _cascade(scores))
    if encodes is None:
        console.print("Encodes: not run (libaom is not built; see above).")
    else:
        print_table(console, _encodes(encodes))
        for line in _verdicts(encodes):
            console.print(line)
    console.print(f"Took {seconds:.0f} s.")


def _runs(rows: list[Row], chosen: str, backbone: str) -> Table:
    columns = ("run", "best epoch", "macro-F1", "best constant", "verdict", "ORT = PyTorch", "seconds")
    table = text_table(f"Runs ({backbone}; macro-F1 on validation blocks)", *columns)
    for row in rows:
        selected = row.select
        parity = ", ".join(f"{name}: {p['status']}" for name, p in row.parity["providers"].items())
        constant = f"{selected['baseline_macro_f1']:.3f} ({selected['baseline_class']})"
        verdict = "beats constant" if selected["beats_baseline"] else "WEAK"
        name = row.name + ("*" if row.name == chosen else "")
        values = (f"{selected['macro_f1']:.3f}", constant, verdict)
        table.add_row(name, str(selected["epoch"]), *values, parity, f"{row.seconds:.0f}")
    return table


def _cascade(scores: "Scores") -> Table:
    table = text_table("Cascade, stage 008, on test blocks", "predictor", "accuracy", "macro-F1")
    table.add_row("cascade", f"{scores['accuracy']:.3f}", f"{scores['macro_f1']:.3f}")
    for name in ("majority", "best_constant"):
        entry = scores["baselines"][name]
        cells = (f"{entry[k]:.3f}" for k in ("accuracy", "macro_f1"))
        table.add_row(f"{name.replace('_', ' ')}: always {entry['class']}", *cells)
    return table


def _verdicts(encodes: dict[str, Encoded]) -> list[str]:
    """What masks and pruner gave over the plain encode just before them, in words: CPU time, bytes, PSNR-Y."""
    lines = []
    for (plain_name, plain), (name, own) in zip(list(encodes.items())[::2], list(encodes.items())[1::2], strict=True):
        seconds = own["encode_seconds"] + own["inference_seconds"]
        saved = 100 * (1 - seconds / plain["encode_seconds"])
        more = 100 * (own["bytes"] / plain["bytes"] - 1)
        verdict = "saves" if saved > 0 else "COSTS"
        lines.append(
            f"{name}: {verdict} {abs(saved):.0f}% of the CPU time of the encode {plain_name}, deciding charged, for "
            f"{more:+.2f}% bytes at {own['psnr_y'] - plain['psnr_y']:+.2f} dB. One encode each."
        )
    return lines


def _encodes(encodes: dict[str, Encoded]) -> Table:
    columns = ("encode", "bytes", "PSNR-Y (dB)", "encoding (CPU s)", "inference (CPU s)", "nodes masked")
    table = text_table("One test photograph in libaom", *columns)
    for name, e in encodes.items():
        times = (f"{e['encode_seconds']:.2f}", f"{e['inference_seconds']:.2f}")
        table.add_row(name, str(e["bytes"]), f"{e['psnr_y']:.2f}", *times, str(e["masked_blocks"]))
    return table
