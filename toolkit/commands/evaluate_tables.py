"""Tables of `evaluate`: the facts of its --json, for people."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from toolkit.cli.tables import print_table, text_table
from toolkit.experiments.evaluate import Evaluation, SliceScores, SplitReliability


def print_evaluation(model: Path, found: Evaluation) -> None:
    """Print the evaluation of `model` to stdout."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(
        f"{model}, stage {found['stage']}, epoch {found['epoch']}, on {found['blocks']:,} blocks of the "
        f"{found['split']} split of {found['data']['path']}",
        markup=False,
    )
    for note in found["notes"]:
        console.print(note, style="bold yellow", markup=False)
    print_table(console, _overall(found))
    print_table(console, _classes(found))
    print_table(console, _slices("Per source", "source", found["per_source"]))
    print_table(console, _slices("Per qindex", "qindex", found["per_qindex"]))
    print_table(console, _calibration(found["calibration"]))
    overall = found["overall"]
    verdict = "beats" if found["beats_baseline"] else "DOES NOT BEAT"
    console.print(
        f"It {verdict} the best constant: macro-F1 {overall['macro_f1']:.4f}, always {overall['constant_class']} "
        f"{overall['constant_macro_f1']:.4f}."
    )


def _overall(found: Evaluation) -> Table:
    table = text_table("Overall", "predictor", "macro-F1", "accuracy")
    table.add_row("the model", f"{found['overall']['macro_f1']:.4f}", f"{found['overall']['accuracy']:.4f}")
    for name, scores in found["baselines"].items():
        majority = " (most frequent in training)" if name == found["training_majority"] else ""
        table.add_row(f"always {name}{majority}", f"{scores['macro_f1']:.4f}", f"{scores['accuracy']:.4f}")
    return table


def _classes(found: Evaluation) -> Table:
    table = text_table(
        "Per class", "class", "blocks", "F1", "precision", "recall", *(f"as {c}" for c in found["classes"])
    )
    for (name, scores), row in zip(found["overall"]["per_class"].items(), found["overall"]["confusion"], strict=True):
        values = (f"{score:.4f}" for score in (scores["f1"], scores["precision"], scores["recall"]))
        table.add_row(name, f"{scores['support']:,}", *values, *(f"{count:,}" for count in row))
    return table


def _slices(title: str, column: str, slices: dict[str, SliceScores]) -> Table:
    table = text_table(title, column, "blocks", "macro-F1", "best constant", "always", "accuracy")
    for name, scores in slices.items():
        constant = (f"{scores['constant_macro_f1']:.4f}", scores["constant_class"])
        cells = (f"{scores['blocks']:,}", f"{scores['macro_f1']:.4f}", *constant, f"{scores['accuracy']:.4f}")
        table.add_row(escape(name), *cells)
    return table


def _calibration(found: SplitReliability) -> Table:
    table = text_table("Calibration", "", "expected error (15 bins)", "NLL (nats)")
    table.add_row("as the model gives it", f"{found['ece']:.4f}", f"{found['nll']:.4f}")
    scaled = f"at temperature {found['temperature']:.3f}, fitted on {found['fitted_on']}"
    table.add_row(scaled, f"{found['ece_scaled']:.4f}", f"{found['nll_scaled']:.4f}")
    table.add_row("the split's class shares alone", "0.0000", f"{found['nll_of_shares']:.4f}")
    return table
