"""Tables that the pipeline commands print for people."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from integration.commands.policy_tables import policy_lines
from toolkit.cli.tables import print_table, text_table

if TYPE_CHECKING:
    from export.bundle.bundle import Bundle
    from integration.pipeline.policy import Policy
    from integration.pipeline.score import Scores
    from integration.pruning.bundle import PrunerBundle
    from toolkit.metrics import Baselines, BaselineScores


def print_pipeline(path: Path, bundles: dict[str, "Bundle"], policy: "Policy") -> None:
    """Print the bundles and the policy that a pipeline was built from."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    node = next(iter(bundles.values())).contract.window.node
    console.print(f"{path}: stages {', '.join(bundles)} of {node}x{node} nodes")
    for stage, bundle in bundles.items():
        provenance = bundle.manifest["provenance"]
        console.print(
            f"  {stage}: macro-F1 {provenance['metrics']['macro_f1']:.4f} on validation, {bundle.sha256[:16]}"
        )
        for reason in bundle.manifest["weak"]:
            console.print(f"     WEAK: {reason}")
    for line in policy_lines(policy):
        console.print(f"  policy, {line}")


def print_inside(pruner: "PrunerBundle") -> None:
    """Print the pruner that a pipeline holds."""
    made_for = f"libaom {pruner.encoder['version']}, {pruner.encoder['usage']}, cpu-used {pruner.encoder['cpu_used']}"
    click.echo(f"  pruner inside the search, for {made_for}: price {pruner.price:g}, {pruner.sha256[:16]}")


def print_scores(scores: "Scores") -> None:
    """Print the scores of a pipeline to stdout."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"{scores['blocks']:,} blocks of the {scores['split']} split")
    for label, count in scores["left_out"].items():
        console.print(f"  left out: {count:,} {label}")
    table = text_table("Predictors", "predictor", "accuracy", "macro-F1")
    table.add_row("the pipeline", f"{scores['accuracy']:.4f}", f"{scores['macro_f1']:.4f}")
    for name, entry in _predictors(scores["baselines"]).items():
        table.add_row(name, f"{entry['accuracy']:.4f}", f"{entry['macro_f1']:.4f}")
    print_table(console, table)
    print_table(console, _per_class(scores))
    print_table(console, _confusion(scores))
    columns = ("blocks", "accuracy", "macro-F1", "best constant", "wrong here first")
    table = text_table("Stages, each on the blocks that it classifies", "stage", *columns)
    for stage, own in scores["stages"].items():
        constant = f"{own['best_constant']['class']} {own['best_constant']['macro_f1']:.4f}"
        cells = (f"{own['blocks']:,}", f"{own['accuracy']:.4f}", f"{own['macro_f1']:.4f}", constant)
        table.add_row(stage, *cells, f"{scores['errors_by_stage'][stage]:,}")
    print_table(console, table)
    effect = scores["policy"]
    console.print(
        f"Policy: restricts {effect['restricted']:.1%} of the blocks and removes {effect['removed']:.1%} of the "
        f"partitions; the true one from {effect['true_removed']:.2%} of the blocks."
    )


def _predictors(found: "Baselines") -> "dict[str, BaselineScores]":
    best, accurate = found["best_constant"], found["best_constant_by_accuracy"]
    named = {f"always {best['class']} (best macro-F1)": best, f"always {accurate['class']} (best accuracy)": accurate}
    return {**named, "drawn by the classes' shares": found["stratified"]}


def _per_class(scores: "Scores") -> Table:
    table = text_table("Classes", "class", "precision", "recall", "F1", "support")
    for name, own in scores["per_class"].items():
        table.add_row(name, *(f"{own[k]:.4f}" for k in ("precision", "recall", "f1")), f"{own['support']:,}")
    return table


def _confusion(scores: "Scores") -> Table:
    table = text_table("Confusion (rows: true, columns: predicted)", "", *scores["classes"])
    for name, row in zip(scores["classes"], scores["confusion"], strict=True):
        table.add_row(name, *(f"{n:,}" for n in row))
    return table
