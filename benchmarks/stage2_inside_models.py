"""Networks of Stage 2 asked before and inside the search, side by side on the same blocks, with trees beside them.

    python benchmarks/stage2_inside_models.py DATA RUN...

DATA is of `av1part label --search`, every RUN one of `av1part train` on it. The blocks are those of the test split that
every run can be asked about: a run that is asked after SPLIT is asked only where SPLIT was searched. Trees learn from
the same features of the train split, at each point that a run is asked at.
"""

from pathlib import Path

import click
import numpy as np
from sklearn.metrics import f1_score
from stage2_inside import by_trees

from toolkit.data.blockset import BlockSet
from toolkit.data.inside import Inside
from toolkit.model.network import predict
from toolkit.model.provenance import trained_on
from toolkit.model.suitability import check_held_out
from toolkit.partition import STAGES
from toolkit.training.run_folder import open_checkpoint

CLASSES = STAGES["2"].classes


def macro_f1(data: BlockSet, index: np.ndarray, said: np.ndarray) -> float:
    """Macro-F1 of the classes said of the blocks at these positions."""
    target = STAGES["2"].targets(data.blocks["partition"][index])
    return float(f1_score(target, said, average="macro", labels=range(len(CLASSES)), zero_division=0))


def tree_answers(data: BlockSet, inside: Inside, index: np.ndarray) -> np.ndarray:
    """Classes of the blocks at these positions by boosted trees, from the features known at the point."""
    learnt = data.split_index("train", "2", inside)
    rows = [np.asarray(data.take(at, "2", inside=inside).search) for at in (learnt, index)]
    return by_trees(rows[0], STAGES["2"].targets(data.blocks["partition"][learnt]), rows[1])


@click.command()
@click.argument("path", metavar="DATA", type=click.Path(path_type=Path))
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
def main(path: Path, runs: tuple[Path, ...]) -> None:
    """Print one Markdown table, and what it was measured on."""
    data = BlockSet.load(path)
    checkpoints = [open_checkpoint(run) for run in runs]
    asked = []
    for run, checkpoint in zip(runs, checkpoints, strict=True):
        check_held_out(str(run), checkpoint, data)
        asked.append(data.split_index("test", "2", checkpoint.config.inside))
    common = asked[0]
    for index in asked[1:]:
        common = np.intersect1d(common, index)
    shares = np.bincount(STAGES["2"].targets(data.blocks["partition"][common]), minlength=len(CLASSES)) / len(common)
    said = ", ".join(f"{name} {share:.0%}" for name, share in zip(CLASSES, shares, strict=True))
    sources = len(trained_on(checkpoints[0].provenance))
    click.echo(f"{len(common):,} blocks that all are asked about ({said}); {sources} photographs to learn from\n")
    click.echo("| run | asked | own blocks | macro-F1 on them | on those that all are asked about | trees there |")
    click.echo("|---|---|---:|---:|---:|---:|")
    constant = max(macro_f1(data, common, np.full(len(common), k)) for k in range(len(CLASSES)))
    click.echo(f"| best constant | | | | {constant:.3f} | |")
    for run, checkpoint, index in zip(runs, checkpoints, asked, strict=True):
        model = checkpoint.config
        blocks = data.take(index, "2", model.window, model.inside)
        found = predict(checkpoint.model, *blocks.inputs).argmax(1).numpy()
        among = np.isin(index, common)
        trees = f"{macro_f1(data, common, tree_answers(data, model.inside, common)):.3f}" if model.inside else ""
        point = f"after {model.inside.point.upper()}" if model.inside else "before the search"
        scores = f"{macro_f1(data, index, found):.3f} | {macro_f1(data, common, found[among]):.3f}"
        click.echo(f"| {run.name} | {point} | {len(index):,} | {scores} | {trees} |")


if __name__ == "__main__":
    main()
