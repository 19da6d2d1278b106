"""Importing older data as a BlockSet: the part that both formats share. Each loose block becomes a 16x16 frame."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.data.encoder_settings import IMPORTED
from toolkit.data.write import Source, make_records, write_blockset
from toolkit.errors import ToolkitError
from toolkit.legacy.config import ImportConfig
from toolkit.legacy.loose_blocks import LooseBlocks
from toolkit.partition import NAMES

# libaom's quantizer_to_qindex: the base_qindex of each --cq-level where nothing else changes it.
QUANTIZER_TO_QINDEX = np.array([*range(0, 248, 4), 249, 255], dtype=np.int64)


def import_data(kind: str, source: Path, output: Path, config: ImportConfig, *, overwrite: bool = False) -> list[str]:
    """Import a folder of the format `triplets` or `pt` as a BlockSet; return warnings for the user.

    Raises ToolkitError on anything missing, truncated or unidentifiable; nothing is guessed.
    """
    if kind == "triplets":
        from toolkit.legacy.triplets import read_triplets

        found = read_triplets(source, config.split)
    else:
        from toolkit.legacy.pt import read_pt

        found = read_pt(source)
    order = label_order(config.label_order)
    warnings = [*found.warnings, *_warn_of_qps(found.parts, config.qps)]
    records = [
        make_records(
            index,
            np.arange(len(part.luma)),
            0,
            0,
            qindexes(part.qps, config.qps, part.name),
            partitions(part.labels, order, part.name),
        )
        for index, part in enumerate(found.parts)
    ]
    sources = [
        Source(p.name, found.splits[p.name], p.sha256, p.luma, licence=config.licence, origin=p.origin)
        for p in found.parts
    ]
    facts = {"format": kind, "label_order": config.label_order, "qps": config.qps, **found.facts, "warnings": warnings}
    write_blockset(output, sources, np.concatenate(records), found.bit_depth, {IMPORTED: facts}, overwrite=overwrite)
    return warnings


def label_order(text: str) -> NDArray[np.uint8]:
    """AV1 ids of the labels 0, 1, 2, ... from their comma-separated names; ToolkitError on other or repeated names."""
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in NAMES]
    if unknown or len(set(names)) != len(names):
        raise ToolkitError(f"--label-order {text}: expected AV1 names, each once, of {','.join(NAMES)}.")
    return np.array([NAMES.index(name) for name in names], dtype=np.uint8)


def partitions(labels: NDArray[np.int64], order: NDArray[np.uint8], what: str) -> NDArray[np.uint8]:
    """AV1 ids of labels that number the partitions in `order`; ToolkitError on a label outside it."""
    if labels.size and (int(labels.min()) < 0 or int(labels.max()) >= len(order)):
        raise ToolkitError(
            f"{what}: labels run from {labels.min()} to {labels.max()}, expected 0 to {len(order) - 1}. "
            "Name the file's own order with --label-order."
        )
    ids: NDArray[np.uint8] = order[labels]
    return ids


def qindexes(qps: NDArray[np.int64], kind: str, what: str) -> NDArray[np.int64]:
    """Qindexes (0 to 255) of numbers of a `kind`, qindex or quantizer; ToolkitError on a number out of range."""
    top = 255 if kind == "qindex" else len(QUANTIZER_TO_QINDEX) - 1
    if qps.size and (int(qps.min()) < 0 or int(qps.max()) > top):
        raise ToolkitError(f"{what}: qps run from {qps.min()} to {qps.max()}, expected {kind} 0 to {top}.")
    return qps if kind == "qindex" else QUANTIZER_TO_QINDEX[qps]


def _warn_of_qps(parts: list[LooseBlocks], kind: str) -> list[str]:
    """Warning where numbers called qindexes look like quantizer steps."""
    top = max((int(p.qps.max()) for p in parts if p.qps.size), default=0)
    if kind == "qindex" and 0 < top < len(QUANTIZER_TO_QINDEX):
        return [
            f"No qp is above {top}: these look like quantizer steps (--cq-level, 0 to 63), not qindexes. "
            "If they are, import again with --qps quantizer."
        ]
    return []
