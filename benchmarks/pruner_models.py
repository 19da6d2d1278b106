"""Trees beside networks, and what more photographs are worth to a pruner, offline as in pruner_features.py.

Cost of one decision: comparisons that follow each other for the trees, multiply-adds for a network, of which a vector
unit does two or more at once; `benchmarks/deciding.py` measures it in the encoder.
"""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from pruner_features import table_head, table_row

from toolkit.pruners.forest import Trees
from toolkit.pruners.learn import LearnConfig, learn
from toolkit.pruners.pruner import Pruner
from toolkit.pruners.record import RecordedFrame, SearchSet


def work(pruner: Pruner) -> str:
    """Mean work of a decision; trees are taken to be as deep as their number of leaves makes them."""
    counts = []
    for model in pruner.models.values():
        if isinstance(model, Trees):
            counts.append(
                sum(len(f.roots) * np.log2((len(f.nodes) / len(f.roots) + 1) / 2) for f in (model.loss, model.time))
            )
        else:
            counts.append(sum(weights.size for weights in model.weights))
    kind = "comparisons" if isinstance(model, Trees) else "multiply-adds"
    return f"{np.mean(counts):.0f} {kind}"


def some(data: SearchSet, train: Sequence[RecordedFrame], count: int) -> list[RecordedFrame]:
    """Frames of `count` training photographs, drawn by seed; the same ones are among a larger count's."""
    sources = [e.source for e in data.entries if data.manifest["sources"][e.source]["split"] == "train"]
    kept = np.random.default_rng(0).permutation(np.unique(sources))[:count].tolist()
    return [frame for frame, source in zip(train, sources, strict=True) if source in kept]


CONFIGS = {
    "80-trees": LearnConfig(model="trees", trees=80),
    "160-trees": LearnConfig(model="trees", trees=160),
    "network": LearnConfig(),
}


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--model", "models", default=tuple(CONFIGS), multiple=True, type=click.Choice(tuple(CONFIGS)))
@click.option("--photographs", default=(12, 24, 48, 10**6), multiple=True, show_default=True, help="The last: all.")
@click.option("--price", "prices", multiple=True, type=float, default=(0.02, 0.05), show_default=True)
def main(record: Path, models: tuple[str, ...], photographs: tuple[int, ...], prices: tuple[float, ...]) -> None:
    """Print one Markdown table."""
    data = SearchSet.load(record)
    train, val = list(data.frames("train")), list(data.frames("val"))
    click.echo(table_head(prices))
    for name in models:
        for count in photographs:
            frames = some(data, train, count)
            pruner = learn(frames, data.features, CONFIGS[name])
            pictures = len(frames) // len({entry.cq for entry in data.entries})
            click.echo(table_row(f"{name} ({work(pruner)}), {pictures} photographs", pruner, val, prices))


if __name__ == "__main__":
    main()
