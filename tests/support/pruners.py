"""Pruners of one leaf or one split, made by hand."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from export.pruner.graph import pruner_graph
from integration.codec import native
from integration.codec.libaom_build import Libraries
from integration.pruning.bundle import write_pruner
from support.commands import done
from toolkit.pruners.forest import NODE, Forest, Trees
from toolkit.pruners.pruner import Pruner
from toolkit.search.table import DECISIONS, TABLES, Feature


def constant(value: float) -> Forest:
    """A forest that predicts the same for every row."""
    return Forest(0.0, np.zeros(1, np.uint32), np.array([(-1, 0, 0, 0.0, value)], NODE))


def tree(feature: int, threshold: float, left: float, right: float) -> Forest:
    """A forest of one split."""
    nodes = [(feature, 1, 2, threshold, 0.0), (-1, 0, 0, 0.0, left), (-1, 0, 0, 0.0, right)]
    return Forest(0.0, np.zeros(1, np.uint32), np.array(nodes, NODE))


def toy_pruner(
    keys: Iterable[tuple[int, str]], loss: Forest | float, time: Forest | float, table: str = "key"
) -> Pruner:
    """A pruner with the same forests, or constants, at every one of these sizes and decisions.

    `table`: the kind of frames whose features it knows; one of inter frames may know either's.
    """
    loss, time = (f if isinstance(f, Forest) else constant(f) for f in (loss, time))
    features = tuple(Feature(f"f{i}", "", 0) for i in range(len(TABLES[table])))
    keys = list(keys)
    assert {decision for _, decision in keys} <= set(DECISIONS)
    return Pruner(features, dict.fromkeys(keys, Trees(loss, time)))


def toy(keys: Iterable[tuple[int, str]], loss: Forest | float, time: Forest | float, table: str = "key") -> bytes:
    """Its native bytes."""
    return toy_pruner(keys, loss, time, table).native()


def toy_folder(path: Path, libaom: Libraries, pruner: Pruner, **encoder: object) -> Path:
    """A pruner's folder, sealed as one of 8 bit that was proven; `encoder`: what differs from GOOD at cpu-used 2."""
    hook = native.load(libaom.hook)
    (table,) = (kind for kind, known in TABLES.items() if len(known) == len(pruner.features))
    settings = {"version": native.libaom_version(hook), "usage": "good", "cpu_used": 2, "enable_1to4_partitions": 1}
    manifest = {
        "bit_depth": 8,
        "encoder": settings | encoder,
        "features": [asdict(feature) for feature in native.feature_table(hook, table)],
        "feature_table": native.feature_table_name(hook, table),
        "price": 0.05,
        "most": 64.0,
        "learnt": {"train_sources": [], "sources": []},
        "validation": {},
        "proof": {"passed": True, "rows": 1},
    }
    write_pruner(path, manifest, pruner.native(), pruner_graph(pruner))
    return path


def record_of(photographs: Sequence[Path], folder: Path, cpu_used: int) -> Path:
    """A record of six photographs in a folder, whole: four to learn from, one to judge, one to prove."""
    table = folder / "splits.tsv"
    names = ("train", "train", "train", "train", "val", "test")
    table.write_text("".join(f"{path.stem}\t{split}\n" for path, split in zip(photographs, names, strict=True)))
    words = ("--cq", "25,40,55", "--share", "1", "--split", table, "--jobs", "1", "--size", "source")
    done("record", *photographs, "-o", folder / "set", *words, "--cpu-used", cpu_used)
    return folder / "set"
