"""What is in a data set: sources, splits, class histograms, what each stage leaves out, the trivial baselines."""

from collections import Counter
from typing import Any

import numpy as np

from toolkit.data.blockset import SPLITS, BlockSet
from toolkit.data.format import bounded
from toolkit.metrics import baselines
from toolkit.partition import INSIDE_LARGER, NAMES, STAGES

LABELS = {**dict(enumerate(NAMES)), INSIDE_LARGER: "inside a larger block"}


def dataset_info(data: BlockSet) -> dict[str, Any]:
    """Describe a data set; JSON-ready.

    `node`: the blocks' side in pixels; `sources`: a list with each one's blocks counted; `splits` {split: sources,
    blocks}; `licences` {licence: sources}; `histogram` {"partition" or a stage: {split: {qindex: {class: blocks}}}};
    `left_out` {stage: {label: blocks}}; `excluded` {reason: nodes never stored}; `costs`: None, or {partition: shares
    of the decided nodes where it was `tried` and where its RD cost is `exact`}; `cheapest_chosen`: None, or their
    share whose label has the least exact cost; `baselines` {stage: {split: as `metrics.baselines`}}, fitted on the
    train split where it has blocks of that stage.
    """
    blocks, sources = data.blocks, data.sources
    per_source = np.bincount(blocks["source"], minlength=len(sources)).tolist()
    split_of = np.array([SPLITS.index(s["split"]) for s in sources])[blocks["source"]]
    kept = ("name", "split", "licence", "origin", "frames", "width", "height", "sha256")
    return {
        "sha256": data.sha256,
        "bit_depth": data.bit_depth,
        "node": data.node,
        "encoder": data.manifest["encoder"],
        "blocks": len(blocks),
        "sources": [{k: s[k] for k in kept} | {"blocks": n} for s, n in zip(sources, per_source, strict=True)],
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
            key: {LABELS[i]: n for i, n in stage.left_out(blocks["partition"]).items()} for key, stage in STAGES.items()
        },
        "excluded": data.manifest["excluded"],
        "costs": _costs(data),
        "cheapest_chosen": _cheapest_chosen(data),
        "baselines": _baselines(data, split_of),
    }


def _histograms(data: BlockSet) -> dict[str, dict[str, dict[str, dict[str, int]]]]:
    """The manifest's counts by AV1 partition, and summed into the classes of each stage."""
    counts = data.manifest["histogram"]
    result: dict[str, dict[str, dict[str, dict[str, int]]]] = {}
    groupings: dict[str, dict[str, tuple[int, ...]]] = {"partition": {name: (i,) for i, name in LABELS.items()}}
    groupings |= {key: dict(zip(s.classes, s.groups, strict=True)) for key, s in STAGES.items()}
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


def _costs(data: BlockSet) -> dict[str, dict[str, float]] | None:
    decided = data.blocks["partition"] != INSIDE_LARGER
    if data.costs is None or not decided.any():
        return None
    costs = data.costs[decided]
    tried = ~np.isnan(costs["rd"])
    shares = zip(NAMES, tried.mean(0).tolist(), (tried & ~bounded(costs)).mean(0).tolist(), strict=True)
    return {name: {"tried": t, "exact": e} for name, t, e in shares}


def _cheapest_chosen(data: BlockSet) -> float | None:
    decided = data.blocks["partition"] != INSIDE_LARGER
    if data.costs is None or not decided.any():
        return None
    costs = data.costs[decided]
    exact = np.where(np.isnan(costs["rd"]) | bounded(costs), np.inf, costs["rd"])
    return float((exact.argmin(1) == data.blocks["partition"][decided]).mean())


def _baselines(data: BlockSet, split_of: np.ndarray[Any, np.dtype[Any]]) -> dict[str, dict[str, Any]]:
    result: dict[str, dict[str, Any]] = {}
    for key, stage in STAGES.items():
        targets = stage.targets(data.blocks["partition"])
        by_split = {split: targets[(split_of == i) & (targets >= 0)] for i, split in enumerate(SPLITS)}
        result[key] = {
            split: baselines(by_split["train"] if len(by_split["train"]) else own, own, stage.classes)
            for split, own in by_split.items()
            if len(own)
        }
    return result
