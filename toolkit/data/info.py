"""Describe a data set: sources, splits, class histograms, blocks that a stage leaves out, trivial baselines."""

from collections import Counter
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from toolkit.data.blockset import SPLITS, BlockSet
from toolkit.data.encoder_settings import EncoderRecord
from toolkit.data.format import Counts, SourceEntry, bounded
from toolkit.metrics import Baselines, baselines
from toolkit.partition import INSIDE_LARGER, NAMES, partitions_of, stages_of

LABELS = {**dict(enumerate(NAMES)), INSIDE_LARGER: "inside a larger block"}


class SourceInfo(TypedDict):
    """A source as in the manifest, and its number of blocks."""

    name: str
    split: str
    licence: str
    origin: str
    frames: int
    width: int
    height: int
    sha256: str
    blocks: int


class SplitInfo(TypedDict):
    """Number of sources and blocks of a split."""

    sources: int
    blocks: int


class CostInfo(TypedDict):
    """Shares of the decided nodes, 0 to 1, where a partition was tried and where its RD cost is exact."""

    tried: float
    exact: float


class DatasetInfo(TypedDict):
    """Result of `dataset_info`, ready for JSON.

    `node`: side of the nodes in pixels; partitions and stages that such nodes do not have are absent. `licences`:
    number of sources by licence. `histogram`: block counts by "partition" and by stage. `left_out`: block counts by
    stage, then label. `excluded`: number of nodes that were never stored, by reason. `costs`: by partition; None
    without RD costs. `cheapest_chosen`: share of the decided nodes whose label has the least exact cost; None without
    RD costs. `baselines`: by stage, then split, fitted on the train split where it has blocks of the stage.
    """

    sha256: str
    bit_depth: int
    node: int
    encoder: EncoderRecord
    blocks: int
    sources: list[SourceInfo]
    splits: dict[str, SplitInfo]
    licences: dict[str, int]
    histogram: dict[str, Counts]
    left_out: dict[str, dict[str, int]]
    excluded: dict[str, int]
    costs: dict[str, CostInfo] | None
    cheapest_chosen: float | None
    baselines: dict[str, dict[str, Baselines]]


def dataset_info(data: BlockSet) -> DatasetInfo:
    """Describe a data set."""
    blocks, sources = data.blocks, data.sources
    per_source = np.bincount(blocks["source"], minlength=len(sources)).tolist()
    split_of = np.array([SPLITS.index(s["split"]) for s in sources])[blocks["source"]]
    return {
        "sha256": data.sha256,
        "bit_depth": data.bit_depth,
        "node": data.node,
        "encoder": data.manifest["encoder"],
        "blocks": len(blocks),
        "sources": [_source(s, n) for s, n in zip(sources, per_source, strict=True)],
        "splits": {
            split: {
                "sources": sum(s["split"] == split for s in sources),
                "blocks": int((split_of == index).sum()),
            }
            for index, split in enumerate(SPLITS)
        },
        "licences": dict(sorted(Counter(s["licence"] for s in sources).items())),
        "histogram": _histograms(data),
        "left_out": {
            key: {LABELS[i]: n for i, n in stage.left_out(blocks["partition"]).items()}
            for key, stage in stages_of(data.node).items()
        },
        "excluded": data.manifest["excluded"],
        "costs": _costs(data),
        "cheapest_chosen": _cheapest_chosen(data),
        "baselines": _baselines(data, split_of),
    }


def _source(entry: SourceEntry, blocks: int) -> SourceInfo:
    return {
        "name": entry["name"],
        "split": entry["split"],
        "licence": entry["licence"],
        "origin": entry["origin"],
        "frames": entry["frames"],
        "width": entry["width"],
        "height": entry["height"],
        "sha256": entry["sha256"],
        "blocks": blocks,
    }


def _histograms(data: BlockSet) -> dict[str, Counts]:
    """Counts of the manifest, by AV1 partition and summed into the classes of each stage."""
    counts = data.manifest["histogram"]
    result: dict[str, Counts] = {}
    ids = (*partitions_of(data.node), INSIDE_LARGER)
    groupings: dict[str, dict[str, tuple[int, ...]]] = {"partition": {LABELS[i]: (i,) for i in ids}}
    groupings |= {key: dict(zip(s.classes, s.groups, strict=True)) for key, s in stages_of(data.node).items()}
    for key, groups in groupings.items():
        result[key] = {
            split: {
                qindex: {name: sum(ids.get(str(i), 0) for i in group) for name, group in groups.items()}
                for qindex, ids in sorted(counts[split].items(), key=lambda item: int(item[0]))
            }
            for split in SPLITS
            if split in counts
        }
    return result


def _costs(data: BlockSet) -> dict[str, CostInfo] | None:
    decided = data.blocks["partition"] != INSIDE_LARGER
    if data.costs is None or not decided.any():
        return None
    costs = data.costs[decided]
    tried = ~np.isnan(costs["rd"])
    exact = tried & ~bounded(costs)
    return {
        NAMES[i]: {"tried": float(tried[:, i].mean()), "exact": float(exact[:, i].mean())}
        for i in partitions_of(data.node)
    }


def _cheapest_chosen(data: BlockSet) -> float | None:
    decided = data.blocks["partition"] != INSIDE_LARGER
    if data.costs is None or not decided.any():
        return None
    costs = data.costs[decided]
    exact = np.where(np.isnan(costs["rd"]) | bounded(costs), np.inf, costs["rd"])
    return float((exact.argmin(1) == data.blocks["partition"][decided]).mean())


def _baselines(data: BlockSet, split_of: NDArray[np.int64]) -> dict[str, dict[str, Baselines]]:
    result: dict[str, dict[str, Baselines]] = {}
    for key, stage in stages_of(data.node).items():
        targets = stage.targets(data.blocks["partition"])
        by_split = {split: targets[(split_of == i) & (targets >= 0)] for i, split in enumerate(SPLITS)}
        result[key] = {
            split: baselines(by_split["train"] if len(by_split["train"]) else own, own, stage.classes)
            for split, own in by_split.items()
            if len(own)
        }
    return result
