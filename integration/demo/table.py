"""The demo's closing table."""

from typing import Any

from rich.console import Console
from rich.table import Table


def print_summary(
    rows: list[dict[str, Any]],
    chosen: str,
    backbone: str,
    scores: dict[str, Any],
    encodes: dict[str, dict[str, Any]] | None,
    seconds: float,
) -> None:
    """Print what was trained and proven, what the cascade scores beside the trivial baselines, and the encodes."""
    console = Console(width=120)
    table = Table(title=f"Runs ({backbone}; macro-F1 on validation blocks)")
    for column in ("run", "best epoch", "macro-F1", "best constant", "verdict", "ORT = PyTorch", "seconds"):
        table.add_column(column)
    for row in rows:
        selected = row["select"]
        parity = ", ".join(f"{name}: {p['status']}" for name, p in row["parity"]["providers"].items())
        constant = f"{selected['baseline_macro_f1']:.3f} ({selected['baseline_class']})"
        verdict = "beats constant" if selected["beats_baseline"] else "WEAK"
        name = row["name"] + ("*" if row["name"] == chosen else "")
        values = (f"{selected['macro_f1']:.3f}", constant, verdict)
        table.add_row(name, str(selected["epoch"]), *values, parity, f"{row['seconds']:.0f}")
    console.print(table)
    console.print(
        "* the Stage 2 in the cascade. Few blocks and epochs: this shows the path, not what the models can do."
    )

    cascade = Table(title="Cascade, stage 008, on test blocks")
    for column in ("predictor", "accuracy", "macro-F1"):
        cascade.add_column(column)
    cascade.add_row("cascade", f"{scores['accuracy']:.3f}", f"{scores['macro_f1']:.3f}")
    for name in ("majority", "best_constant"):
        entry = scores["baselines"][name]
        cascade.add_row(
            f"{name.replace('_', ' ')}: always {entry['class']}", *(f"{entry[k]:.3f}" for k in ("accuracy", "macro_f1"))
        )
    console.print(cascade)

    if encodes is None:
        console.print("Encodes: not run (libaom is not built; see above).")
    else:
        table = Table(title="One test photograph in libaom")
        for column in ("encode", "bytes", "PSNR-Y (dB)", "encoding (CPU s)", "inference (CPU s)", "nodes masked"):
            table.add_column(column)
        for name, e in encodes.items():
            times = (f"{e['encode_seconds']:.2f}", f"{e['inference_seconds']:.2f}")
            table.add_row(name, str(e["bytes"]), f"{e['psnr_y']:.2f}", *times, str(e["masked_blocks"]))
        console.print(table)
    console.print(f"Took {seconds:.0f} s.")
