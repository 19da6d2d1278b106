"""Learning a pruner from records: a model of the expected loss and the expected time of every decision.

Loss and time of one decision are measured in average pixels of their own picture: bits lost divided by the picture's
bits a pixel, seconds saved divided by its seconds a pixel. A price, the loss that one pixel of time may cost, then
means the same for pictures of any size and for every quantiser.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ToolkitError
from toolkit.option import option
from toolkit.pruners import targets
from toolkit.pruners.forest import Forest, Trees, from_boosting
from toolkit.pruners.network import Network
from toolkit.pruners.pruner import Key, Pruner
from toolkit.pruners.record import RecordedFrame
from toolkit.search.table import USUAL, Feature, known_at

MODELS = ("network", "trees")
LEARNING = "Learning"
"""Group of options in the help of commands."""


@dataclass(frozen=True)
class LearnConfig:
    """Which model every decision gets, for which node sizes and decisions.

    `model`: `network`, trained for `epochs`; or `trees`, boosted, a baseline. A time is smoother than a loss, so fewer
    trees with longer steps do, and every decision asks both forests. 64x64 nodes are left out: one wrong decision there
    can cost a picture more than all others save (docs/explanation/pruners.md). `least_rows`: a size and decision with
    fewer rows gets no model. `features`: names of those that trees may look at, to see what the others are worth; empty
    for all.
    """

    model: str = option("network", "Small networks of a pruner, or boosted trees as a baseline.", LEARNING, MODELS)
    epochs: int = option(20, "Epochs of a network.", LEARNING, least=1, most=1000)
    trees: int = option(60, "Trees of a forest.", LEARNING, least=1, most=1000)
    time_trees: int = 20
    leaves: int = option(16, "Leaves of a tree.", LEARNING, least=2, most=256)
    least_leaf: int = 40
    rate: float = 0.1
    time_rate: float = 0.25
    sides: tuple[int, ...] = option((8, 16, 32), "Node sizes that a pruner decides at.", LEARNING)
    decisions: tuple[str, ...] = option(USUAL, "What may be skipped.", LEARNING)
    features: tuple[str, ...] = option((), "What it may look at, by name.  [default: all]", LEARNING)
    least_rows: int = 400
    seed: int = option(0, "Seed of the learning.", LEARNING)


def learn(frames: Sequence[RecordedFrame], features: tuple[Feature, ...], config: LearnConfig) -> Pruner:
    """Pruner learnt from the frames; ToolkitError where no decision has rows enough, or a feature is unknown."""
    if unknown := set(config.features) - {feature.name for feature in features}:
        raise ToolkitError(
            f"Features {', '.join(sorted(unknown))}: unknown; expected names of the table, as qindex,variance."
        )
    models: dict[Key, Trees | Network] = {}
    if config.features and config.model != "trees":
        raise ToolkitError("Features can be left out of trees alone. Take the model trees.")
    for decision in config.decisions:
        known = known_at(features, decision)
        columns = [i for i in range(known) if not config.features or features[i].name in config.features]
        table = examples(frames, decision, np.array(columns, np.intp))
        for side in config.sides:
            own = table.of(side)
            if len(own.side) < config.least_rows or not own.loss.any() or not own.time.any():
                continue
            models[side, decision] = _fit(own, config)
    if not models:
        raise ToolkitError(
            f"No decision has {config.least_rows} recorded nodes. Record more pictures, or a larger share of each."
        )
    return Pruner(features, models)


@dataclass(frozen=True)
class Examples:
    """Rows at which one decision could be taken: side (N,), features (N, columns) float32, loss and time (N,).

    `columns`: places of the features in the table.
    """

    columns: NDArray[np.intp]
    side: NDArray[np.int32]
    features: NDArray[np.float32]
    loss: NDArray[np.float64]
    time: NDArray[np.float64]

    def of(self, side: int) -> "Examples":
        """Those of one node size."""
        own = self.side == side
        return Examples(self.columns, self.side[own], self.features[own], self.loss[own], self.time[own])


def examples(frames: Sequence[RecordedFrame], decision: str, columns: NDArray[np.intp]) -> Examples:
    """What the frames teach of one decision, with the features at these columns of the table."""
    sides, features, loss, time = [], [], [], []
    for frame in frames:
        at = targets.reached(frame.rows, decision)
        rows = frame.rows[at]
        sides.append(rows["side"])
        features.append(rows["features"][:, columns])
        loss.append(targets.losses(frame.rows, decision)[at] * frame.pixels / frame.bits)
        time.append(targets.times(frame.rows, decision)[at] * frame.pixels / frame.seconds)
    return Examples(columns, *(np.concatenate(parts) for parts in (sides, features, loss, time)))


def _fit(own: Examples, config: LearnConfig) -> Trees | Network:
    if config.model == "trees":
        return Trees(
            _boost(own, own.loss, config.trees, config.rate, config),
            _boost(own, own.time, config.time_trees, config.time_rate, config),
        )
    from toolkit.pruners.fit_network import fit_network

    return fit_network(own.features, own.loss, own.time, config.epochs, config.seed)


def _boost(own: Examples, target: NDArray[np.float64], trees: int, rate: float, config: LearnConfig) -> Forest:
    """Trees that predict the log of the target's expectation (Poisson loss, Friedman 2001)."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        loss="poisson",
        learning_rate=rate,
        max_iter=trees,
        max_leaf_nodes=config.leaves,
        min_samples_leaf=config.least_leaf,
        early_stopping=False,
        random_state=config.seed,
    )
    return from_boosting(model.fit(own.features, target), own.columns)
