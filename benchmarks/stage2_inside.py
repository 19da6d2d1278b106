"""Stage 2 asked inside the search: macro-F1 of SPLIT, RECT, AB at 16x16 by what is known at each point.

    python benchmarks/stage2_inside.py RECORD

Nodes of the chosen path of libaom's own search, as Stage 2's blocks are; NONE and the 4-way partitions are in no class.
Five folds by photograph, all splits of the record together: mean and standard deviation over the folds. Trees are
scikit-learn's boosted ones, the network has two hidden layers of 32; both weigh the classes alike.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from pruner_features import NEIGHBOURS, sets_of
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import f1_score
from torch import nn

from toolkit.partition import HORZ, HORZ_A, SPLIT, VERT, VERT_B
from toolkit.pruners.record import SearchSet, check_rows
from toolkit.search.table import POINTS, Feature

FOLDS = 5
CLASSES = ("SPLIT", "RECT", "AB")
Inputs = NDArray[np.float32]
Labels = NDArray[np.int64]
Classify = Callable[[Inputs, Labels, Inputs], Labels]


def rows_of(features: Sequence[Feature]) -> dict[str, list[str]]:
    """Names of the features of each row of the table."""
    pixels = list(sets_of(features)["pixels"])

    def until(point: str) -> list[str]:
        return [f.name for f in features if f.point <= POINTS.index(point)]

    return {
        "variance and qindex": ["qindex", "variance"],
        "ten luma features, qindex among them": pixels,
        "and neighbours": [*pixels, *NEIGHBOURS],
        "all before the search of the node": until("node"),
        "and NONE's": until("none"),
        "and SPLIT's": until("split"),
        "all that is known before AB": until("ab"),
    }


def on_path(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Rows of nodes that no larger block and no other choice around them covers (rows,)."""
    found = np.ones(len(rows), bool)
    for i, parent in enumerate(rows["parent"]):
        found[i] = parent < 0 or (found[parent] and rows["partition"][parent] == SPLIT)
    return found


def nodes(data: SearchSet) -> tuple[Inputs, Labels, NDArray[np.int64]]:
    """Features (nodes, features), classes (nodes,) and sources (nodes,) of the 16x16 nodes of Stage 2."""
    table = np.full(256, -1)
    table[SPLIT], table[[HORZ, VERT]], table[HORZ_A : VERT_B + 1] = 0, 1, 2
    parts = []
    for entry in data.entries:
        rows = np.load(data.path / entry.file, allow_pickle=False)
        check_rows(rows, entry.file)
        labels = table[rows["partition"]]
        own = on_path(rows) & (rows["side"] == 16) & (labels >= 0)
        parts.append((rows["features"][own], labels[own], np.full(own.sum(), entry.source)))
    features, labels, sources = (np.concatenate(part) for part in zip(*parts, strict=True))
    return features, labels, sources


def by_trees(inputs: Inputs, labels: Labels, asked: Inputs) -> Labels:
    """Classes of the asked rows, by 100 rounds of boosted trees of 31 leaves."""
    model = HistGradientBoostingClassifier(class_weight="balanced", early_stopping=False, random_state=0)
    return np.asarray(model.fit(inputs, labels).predict(asked), np.int64)


def by_network(inputs: Inputs, labels: Labels, asked: Inputs) -> Labels:
    """Classes of the asked rows, by a small network that was trained for 20 epochs."""
    torch.manual_seed(0)
    mean, scale = inputs.mean(0), np.maximum(inputs.std(0), 1e-3)
    known, wanted = torch.from_numpy((inputs - mean) / scale).clamp(-4, 4), torch.from_numpy(labels)
    weights = len(labels) / (len(CLASSES) * torch.bincount(wanted, minlength=len(CLASSES)).float())
    layers = [nn.Linear(inputs.shape[1], 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, len(CLASSES))]
    network = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    steps = 20 * ((len(known) + 511) // 512)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(20):
        for at in torch.split(torch.randperm(len(known)), 512):
            loss = nn.functional.cross_entropy(network(known[at]), wanted[at], weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        scores = network(torch.from_numpy((asked - mean) / scale).clamp(-4, 4))
    return scores.argmax(1).numpy()


def score(classify: Classify, inputs: Inputs, labels: Labels, folds: NDArray[np.int64]) -> str:
    """Mean and standard deviation of the macro-F1 over the folds."""
    found = []
    for fold in range(FOLDS):
        held = folds == fold
        said = classify(inputs[~held], labels[~held], inputs[held])
        found.append(f1_score(labels[held], said, average="macro", labels=range(len(CLASSES)), zero_division=0))
    return f"{np.mean(found):.3f} ± {np.std(found, ddof=1):.3f}"


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
def main(record: Path) -> None:
    """Print one Markdown table, and what it was measured on."""
    torch.set_num_threads(1)
    data = SearchSet.load(record)
    features, labels, sources = nodes(data)
    photographs = np.random.default_rng(0).permutation(len(data.manifest["sources"]))
    folds = photographs[sources] % FOLDS
    shares = ", ".join(
        f"{name} {share:.0%}" for name, share in zip(CLASSES, np.bincount(labels) / len(labels), strict=True)
    )
    click.echo(f"{len(labels):,} nodes of {len(np.unique(sources))} photographs: {shares}\n")
    constant = max(
        f1_score(labels, np.full(len(labels), k), average="macro", labels=range(3), zero_division=0) for k in range(3)
    )
    click.echo(f"| features | trees | network |\n|---|---:|---:|\n| best constant | {constant:.3f} | |")
    index = {feature.name: i for i, feature in enumerate(data.features)}
    for name, names in rows_of(data.features).items():
        inputs = np.ascontiguousarray(features[:, [index[n] for n in names]])
        cells = (score(classify, inputs, labels, folds) for classify in (by_trees, by_network))
        click.echo(f"| {name} ({len(names)}) | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
