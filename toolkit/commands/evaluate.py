"""`av1part evaluate`: score a model on any data set."""

import json
from pathlib import Path

import click

from toolkit.folders import check_model

SPLITS = ("train", "val", "test")


@click.command()
@click.argument("model", metavar="RUN_OR_CKPT", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--split", type=click.Choice(SPLITS), default="test", show_default=True, help="Split to score on.")
@click.option("--epoch", type=int, help="Epoch of a run folder.  [default: its best]")
@click.option("--limit", type=click.IntRange(min=1), help="Maximum number of blocks, drawn without replacement.")
@click.option("--allow-seen", is_flag=True, help="Also score sources that the model was trained on, and say so.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(
    model: Path, data: Path, split: str, epoch: int | None, limit: int | None, allow_seen: bool, as_json: bool
) -> None:
    """Score a model on any BlockSet of its bit depth: overall, per source, per qindex, with trivial baselines.

    Calibration is measured by the expected calibration error over 15 bins and the negative log-likelihood, before and
    after temperature scaling on the model's own validation blocks.
    """
    from toolkit.data.blockset import BlockSet

    check_model(model)
    blocks = BlockSet.load(data)  # checked whole before torch is imported, which takes seconds
    from toolkit.commands.evaluate_tables import print_evaluation
    from toolkit.experiments.evaluate import evaluate_on
    from toolkit.training.run_folder import open_checkpoint

    checkpoint = open_checkpoint(model, epoch)
    found = evaluate_on(checkpoint, blocks, split, limit=limit, allow_seen=allow_seen)
    if as_json:
        click.echo(json.dumps({"model": str(model), **found}))
    else:
        print_evaluation(model, found)
