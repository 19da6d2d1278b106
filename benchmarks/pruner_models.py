"""Trees beside small networks, and what more photographs are worth to a pruner, offline as in pruner_features.py.

A network (multilayer perceptron, ReLU) has one output for the loss and one for the time, both logs under Poisson loss
like the trees, on standardised features. Cost of one decision: comparisons that follow each other for the trees,
multiply-adds for a network, of which a vector unit does eight or more at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import click
import numpy as np
import torch
from numpy.typing import NDArray
from pruner_features import table_head, table_row
from torch import Tensor, nn

from toolkit.pruners.features import Feature, known_at
from toolkit.pruners.forest import Forest
from toolkit.pruners.learn import Examples, LearnConfig, examples, learn
from toolkit.pruners.pruner import Pruner
from toolkit.pruners.record import RecordedFrame, SearchSet

BATCH = 1024


@dataclass(frozen=True)
class NetworkOutput:
    """One output of a network, in the place of a Forest: predicts logs (rows,) of all features (rows, columns)."""

    network: nn.Module
    known: int
    column: int

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.inference_mode():
            found = self.network(torch.from_numpy(np.ascontiguousarray(features[:, : self.known])))
        return found[:, self.column].numpy().astype(np.float64)


class Standardise(nn.Module):
    """Features less their mean, over their deviation."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", features.mean(0))
        self.register_buffer("deviation", features.std(0).clamp(min=1e-3))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.deviation


def fit_network(own: Examples, hidden: int, epochs: int, seed: int) -> nn.Module:
    """Network with two hidden layers, trained with Adam and a cosine schedule on Poisson loss."""
    torch.manual_seed(seed)
    features = torch.from_numpy(np.ascontiguousarray(own.features))
    wanted = torch.from_numpy(np.stack([own.loss, own.time], 1).astype(np.float32))
    scale = wanted.mean(0)
    body = [nn.Linear(features.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()]
    last = nn.Linear(hidden, 2)
    network = nn.Sequential(Standardise(features), *body, last)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    steps = epochs * (len(features) // BATCH + 1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        for at in torch.randperm(len(features)).split(BATCH):
            logs = network(features[at])
            loss = (logs.exp() - wanted[at] / scale * logs).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        last.bias += scale.log()
    return network.eval()


def learn_networks(
    frames: Sequence[RecordedFrame], features: tuple[Feature, ...], like: Pruner, hidden: int, epochs: int
) -> Pruner:
    """Networks for the node sizes and decisions of another pruner."""
    loss: dict[tuple[int, str], NetworkOutput] = {}
    time: dict[tuple[int, str], NetworkOutput] = {}
    for decision in sorted({decision for _, decision in like.loss}):
        known = known_at(features, decision)
        table = examples(frames, decision, np.arange(known))
        for side in sorted(side for side, own in like.loss if own == decision):
            network = fit_network(table.of(side), hidden, epochs, seed=0)
            loss[side, decision], time[side, decision] = (NetworkOutput(network, known, c) for c in (0, 1))
    Forests = Mapping[tuple[int, str], Forest]  # what judges a pruner asks its members to predict, no more
    return Pruner(features, cast(Forests, loss), cast(Forests, time))


def comparisons(pruner: Pruner) -> float:
    """Mean comparisons of a decision, by trees that are as deep as their nodes' number makes them."""
    pairs = [pruner.loss[key] for key in pruner.loss], [pruner.time[key] for key in pruner.time]
    depths = [sum(np.log2((len(f.nodes) / len(f.roots) + 1) / 2) * len(f.roots) for f in own) for own in pairs]
    return float(sum(depths) / len(pruner.loss))


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--trees", default=(40, 80, 160), multiple=True, show_default=True)
@click.option("--hidden", default=(16, 32, 64), multiple=True, show_default=True)
@click.option("--epochs", default=15, show_default=True)
@click.option("--photographs", default=(12, 24, 48), multiple=True, show_default=True, help="Besides all of them.")
@click.option("--price", "prices", multiple=True, type=float, default=(0.02, 0.05), show_default=True)
def main(
    record: Path,
    trees: tuple[int, ...],
    hidden: tuple[int, ...],
    epochs: int,
    photographs: tuple[int, ...],
    prices: tuple[float, ...],
) -> None:
    """Print one Markdown table."""
    data = SearchSet.load(record)
    val = list(data.frames("val"))
    train = list(data.frames("train"))
    pictures = [entry.source for entry in data.entries if data.manifest["sources"][entry.source]["split"] == "train"]
    order = np.random.default_rng(0).permutation(np.unique(pictures))
    click.echo(table_head(prices))
    for count in photographs:
        kept = set(order[:count].tolist())
        some = [frame for frame, source in zip(train, pictures, strict=True) if source in kept]
        pruner = learn(some, data.features, LearnConfig(trees=80))
        click.echo(table_row(f"80 trees, {count} photographs", pruner, val, prices))
    for count in trees:
        pruner = learn(train, data.features, LearnConfig(trees=count))
        name = f"{count} trees, {len(order)} photographs: {comparisons(pruner):.0f} comparisons"
        click.echo(table_row(name, pruner, val, prices))
    for width in hidden:
        networks = learn_networks(train, data.features, pruner, width, epochs)
        known = np.mean([known_at(data.features, decision) for _, decision in networks.loss])
        work = known * width + width * width + 2 * width
        click.echo(table_row(f"network {width}-{width}: {work:.0f} multiply-adds", networks, val, prices))


if __name__ == "__main__":
    main()
