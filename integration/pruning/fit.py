"""A record of the search becomes a pruner: learnt, judged on validation rows, proven on held-out rows, sealed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from export.pruner.graph import pruner_graph
from integration.codec import native
from integration.codec.libaom_build import libraries
from integration.pruning.bundle import GRAPH, PrunerBundle, Simulated, current_features, write_pruner
from integration.pruning.config import FitConfig
from integration.pruning.prove import NativeModel, prove
from toolkit.errors import ToolkitError
from toolkit.files import check_free
from toolkit.pruners import targets
from toolkit.pruners.learn import LearnConfig, learn
from toolkit.pruners.pruned_search import Models, prune, wanted
from toolkit.pruners.pruner import Pruner
from toolkit.pruners.record import RecordedFrame, SearchSet


def fit_pruner(data: SearchSet, output: Path, config: FitConfig, *, overwrite: bool = False) -> PrunerBundle:
    """Learn a pruner from the record's training split and write its folder.

    Raises ToolkitError where the record is of another hook's features, has too few rows or no held-out ones, or where
    the native or the ONNX form does not predict as the reference: then nothing is written.
    """
    check_free(output, overwrite)
    table = native.feature_table_name(native.load(libraries().hook), data.frame_kind)
    # By name as well: a feature may have come to mean something else under the same name and unit.
    if data.features != current_features(data.frame_kind) or data.manifest["encoder"].get("feature_table") != table:
        raise ToolkitError(f"{data.path}: recorded with another table of features than this hook's. Record it again.")
    train = list(data.frames("train"))
    _check_squares(data, train, config)  # before the learning, which takes minutes
    pruner = learn(train, data.features, config)
    native_form, graph = pruner.native(), pruner_graph(pruner)
    proof = prove(pruner, native_form, graph, held_out(data, pruner, config))
    if not proof["passed"]:
        raise ToolkitError(f"The pruner's forms do not decide alike: {proof['comparisons']}. Nothing was written.")
    sources = data.manifest["sources"]
    manifest = {
        "bit_depth": data.manifest["bit_depth"],
        "encoder": data.manifest["encoder"],
        "features": data.manifest["features"],
        "feature_table": table,
        "price": config.price,
        "most": config.most,
        "learnt": {
            "record_sha256": data.sha256,
            "config": {own.name: getattr(config, own.name) for own in fields(LearnConfig)},
            "train_sources": [s["sha256"] for s in sources if s["split"] == "train"],
            "sources": sources,
        },
        "validation": simulate(pruner.models, data.frames("val"), config.price, config.most),
        "proof": proof,
    }
    write_pruner(output, manifest, native_form, graph, overwrite=overwrite)
    return PrunerBundle.load(output)


def seal_at(price: float, made: PrunerBundle, data: SearchSet, output: Path, *, overwrite: bool = False) -> None:
    """Write the folder of a pruner that was `made` from the record again, at another price: its proof holds at any."""
    keys = [(c["side"], c["decision"]) for c in made.manifest["proof"]["comparisons"]]
    models = {key: NativeModel(made.data, key) for key in keys}
    manifest = {**made.manifest, "price": price, "validation": simulate(models, data.frames("val"), price, made.most)}
    write_pruner(output, manifest, made.data, (made.path / GRAPH).read_bytes(), overwrite=overwrite)


def _check_squares(data: SearchSet, train: Sequence[RecordedFrame], config: FitConfig) -> None:
    """Raise ToolkitError where val or test has no square for what would be learnt from the training frames.

    A frame may have none: libaom searches no partition of a packet that only repeats another frame.
    """
    learnt = {key for key, count in _squares(train, config).items() if count >= LearnConfig.least_rows}
    for split, needs in (("val", False), ("test", True)):
        found = {key for key, count in _squares(data.frames(split), config).items() if count}
        absent = learnt - found
        if absent and (needs or not found):
            side, decision = min(absent)
            raise ToolkitError(
                f"{data.path}: no square of the {split} split could be decided about by {decision} at {side}x{side}. "
                f"Record more {split} sources, more frames of them or a larger share, or leave it out."
            )


def _squares(frames: Iterable[RecordedFrame], config: FitConfig) -> dict[tuple[int, str], int]:
    """Number of squares at which each decision could have been taken, by node size and decision."""
    counts = dict.fromkeys(product(config.sides, config.decisions), 0)
    for frame in frames:
        for side, decision in counts:
            counts[side, decision] += int((targets.reached(frame.rows, decision) & (frame.rows["side"] == side)).sum())
    return counts


def held_out(data: SearchSet, pruner: Pruner, config: FitConfig) -> dict[tuple[int, str], NDArray[np.float32]]:
    """Features of at most `proof_rows` held-out rows for every size and decision, drawn by seed from the test split."""
    rng = np.random.default_rng(config.seed)
    found: dict[tuple[int, str], list[NDArray[np.float32]]] = {key: [] for key in pruner.models}
    for frame in data.frames("test"):
        for side, decision in found:
            rows = frame.rows[targets.reached(frame.rows, decision) & (frame.rows["side"] == side)]
            found[side, decision].append(rows["features"])
    result = {}
    for key, parts in found.items():
        rows = np.concatenate(parts)
        kept = rng.permutation(len(rows))[: config.proof_rows]
        result[key] = np.ascontiguousarray(rows[kept])
    return result


def simulate(models: Models, frames: Iterator[RecordedFrame], price: float, most: float) -> dict[str, Simulated]:
    """Losses and times of the decisions that would be taken at a price: each as if it were the only one, and together.

    Shares are of the pictures' bits and CPU seconds, averaged over pictures. A second may be saved by several decisions
    alone; together each is saved once, and losses add up. It is no forecast of an encode, where a decision changes what
    the next ones see; the benchmark in the encoder is.
    """
    shares: dict[str, list[_Share]] = {}
    for frame in frames:
        wants = wanted(frame, models, price, most)
        everything = 0
        for side, decision in models:
            own = frame.rows["side"] == side
            asked = int((targets.reached(frame.rows, decision) & own).sum())
            if not asked:
                continue
            everything += asked
            skip = wants[decision] & own
            lost = targets.losses(frame.rows, decision)[skip].sum() / frame.bits
            saved = targets.times(frame.rows, decision)[skip].sum() / frame.seconds
            shares.setdefault(f"{decision}_{side}", []).append(_Share(asked, int(skip.sum()), lost, saved))
        search = prune(frame, wants)
        taken = sum(int(at.sum()) for at in search.taken.values())
        both = _Share(everything, taken, search.bits / frame.bits, search.seconds / frame.seconds)
        shares.setdefault("together", []).append(both)
    return {name: _average(shares[name]) for name in [*sorted(shares.keys() - {"together"}), "together"]}


class _Share(NamedTuple):
    """What decisions do to one picture: squares asked about and skipped, shares of bits lost and of seconds saved."""

    asked: int
    skipped: int
    lost: float
    saved: float


def _average(shares: Sequence[_Share]) -> Simulated:
    return {
        "asked": sum(s.asked for s in shares),
        "skipped": sum(s.skipped for s in shares),
        "loss_percent": 100 * float(np.mean([s.lost for s in shares])),
        "time_percent": 100 * float(np.mean([s.saved for s in shares])),
    }
