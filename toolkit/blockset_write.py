"""Writing a BlockSet: checked, hashed, sealed, and put in place whole or not at all."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.blocks import FORMAT_VERSION, KIND, Luma, check_blocks, check_files, check_luma, check_manifest
from toolkit.errors import ToolkitError
from toolkit.files import atomic_folder, atomic_write_json, seal, sha256_file
from toolkit.partition import NODE


@dataclass(frozen=True)
class Source:
    """Where blocks come from: a clip or photograph, in exactly one split.

    `sha256` is that of the original file (or of the imported data); `luma` is (frames, height, width).
    """

    name: str
    split: str
    sha256: str
    luma: Luma
    licence: str = "unknown"
    origin: str = "unknown"


def histogram(blocks: NDArray[Any], sources: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, int]]]:
    """Counts by split, then qindex, then partition id (JSON keys are strings)."""
    split = np.array([s["split"] for s in sources], dtype=object)
    result: dict[str, dict[str, dict[str, int]]] = {}
    keys = np.stack([blocks["source"], blocks["qindex"], blocks["partition"]], axis=1).astype(np.int64)
    values, counts = np.unique(keys, axis=0, return_counts=True)
    for (source, qindex, partition), count in zip(values.tolist(), counts.tolist(), strict=True):
        at = result.setdefault(split[source], {}).setdefault(str(qindex), {})
        at[str(partition)] = at.get(str(partition), 0) + count
    return result


def write_blockset(
    path: Path,
    sources: Sequence[Source],
    blocks: NDArray[Any],
    bit_depth: int,
    encoder: dict[str, Any],
    *,
    excluded: dict[str, int] | None = None,
    overwrite: bool = False,
) -> None:
    """Write and seal a BlockSet folder.

    `blocks` are records of BLOCK_DTYPE whose `source` indexes `sources`; `encoder` holds every encoder
    setting (or how the data was imported); `excluded` counts what was left out, by reason (for one,
    nodes cut by the frame edge). Raises ToolkitError on anything that `BlockSet.load` would refuse.
    """
    if len({s.name for s in sources}) != len(sources):
        raise ToolkitError(f"{path}: two sources share a name: {sorted(s.name for s in sources)}. Rename one.")
    entries = []
    for source in sources:
        check_luma(source.luma, bit_depth, source.name)
        if "/" in source.name or source.name.startswith("."):
            raise ToolkitError(f"Source name {source.name!r}: may hold no slash and not start with a dot.")
        frames, height, width = source.luma.shape
        entry = {k: v for k, v in asdict(source).items() if k != "luma"}
        entries.append(entry | {"frames": frames, "height": height, "width": width, "luma": f"luma/{source.name}.npy"})
    check_blocks(blocks, entries, str(path))
    with atomic_folder(path, overwrite=overwrite) as folder:
        (folder / "luma").mkdir()
        for entry, source in zip(entries, sources, strict=True):
            np.save(folder / entry["luma"], np.ascontiguousarray(source.luma), allow_pickle=False)
        np.save(folder / "blocks.npy", np.ascontiguousarray(blocks), allow_pickle=False)
        names = ["blocks.npy", *(e["luma"] for e in entries)]
        manifest = {
            "kind": KIND,
            "format_version": FORMAT_VERSION,
            "bit_depth": bit_depth,
            "block_size": NODE,
            "encoder": encoder,
            "sources": entries,
            "histogram": histogram(blocks, entries),
            "excluded": excluded or {},
            "files": {name: sha256_file(folder / name) for name in names},
        }
        sealed = seal(manifest)
        check_manifest(folder, sealed)
        check_files(folder, sealed)
        atomic_write_json(folder / "manifest.json", sealed)
