"""`av1part ensemble`: one checkpoint that averages several."""

import json
from pathlib import Path

import click

from toolkit.files import quoted
from toolkit.folders import BLOCKSET, check_folder, check_model
from toolkit.model.ensemble_config import VIEWS, EnsembleConfig


@click.command()
@click.argument("members", metavar="RUN_OR_CKPT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Checkpoint to write (.pt).")
@click.option("--views", type=click.Choice(VIEWS), default=EnsembleConfig.views, show_default=True,
              help="Also average over flips, or flips and transposition, of each block.")  # fmt: skip
@click.option(
    "--data", type=click.Path(path_type=Path), help="BlockSet whose val split scores the ensemble.  [default: a run's]"
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def ensemble(members: tuple[Path, ...], output: Path, views: str, data: Path | None, as_json: bool) -> None:
    """Make one checkpoint that averages the probabilities of several; of a RUN, the best epoch's.

    Members must have the same input and classes; they may differ in backbone. Every view costs a pass of every member.
    """
    for member in members:
        check_model(member)
    if data is not None:
        check_folder(data, BLOCKSET)
    from toolkit.cli.progress import next_step
    from toolkit.data.blockset import BlockSet
    from toolkit.training.ensemble_build import data_of, make_ensemble

    made = make_ensemble(members, output, BlockSet.load(data or data_of(members)), views)
    score, constant, records = made.metrics["macro_f1"], made.baselines["best_constant"], made.provenance["members"]
    if score <= max(r["macro_f1"] for r in records):
        click.echo("Warning: the ensemble does not beat its best member on the validation split.", err=True)
    if as_json:
        parts = [{k: r[k] for k in ("name", "sha256", "backbone", "epoch", "macro_f1")} for r in records]
        found = {"checkpoint": str(output), "macro_f1": score, "accuracy": made.metrics["accuracy"]}
        click.echo(json.dumps({**found, "baseline_macro_f1": constant["macro_f1"], "members": parts}))
        return
    for r in records:
        click.echo(f"  {r['name']}: {r['backbone']}, epoch {r['epoch']}, macro-F1 {r['macro_f1']:.4f}")
    click.echo(f"{output}: stage {made.stage}, {made.config.backbone}: macro-F1 {score:.4f} on the val split")
    click.echo(f"  the best constant, always {constant['class']}: {constant['macro_f1']:.4f}")
    next_step(f"export {quoted(output)} -o BUNDLE")
