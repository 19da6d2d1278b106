"""Data sets that were labelled apart with the same settings become one; likewise folders of several node sizes."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from toolkit.data.blockset import BLOCK_DTYPE, COST_DTYPE, BlockSet
from toolkit.data.format import COSTS, parts
from toolkit.data.group import set_names, write_group
from toolkit.data.joining import Joined, check_settings, join
from toolkit.data.splits import assign_splits
from toolkit.data.write import Source, write_blockset
from toolkit.errors import ToolkitError
from toolkit.files import atomic_folder, check_free, named

CUT = "cut by the frame edge"


def merge_blocksets(
    paths: Sequence[Path], output: Path, *, split: str | None = None, overwrite: bool = False
) -> list[str]:
    """Write one BlockSet with the sources of several; returns sentences on sources that were dropped or renamed.

    Each source keeps its split, or gets one as `split` says (`assign_splits`). Blocks and costs go through files,
    so that memory does not grow with them or with luma. Raises ToolkitError, before anything is
    written, where settings differ, or where one source is in two of the sets with another split, pixels or labels.
    """
    check_free(output, overwrite)
    sets = [BlockSet.load(path, mapped=True) for path in paths]
    more = [
        {
            "bit depth": s.bit_depth,
            "node size": s.node,
            "RD costs": s.costs is not None,
        }
        for s in sets
    ]
    check_settings(paths, [s.manifest["encoder"] for s in sets], more)
    joined = _joined(paths, sets)
    if len(joined.places) > np.iinfo(BLOCK_DTYPE["source"]).max + 1:
        raise ToolkitError(f"{len(joined.places)} sources: a data set holds at most 65536. Merge fewer.")
    splits = assign_splits([place.name for place in joined.places], split) if split else {}
    sources = []
    for place in joined.places:
        entry, luma = sets[place.folder].sources[place.source], sets[place.folder].luma(place.source)
        own = splits.get(place.name, entry["split"])
        sources.append(Source(place.name, own, entry["sha256"], luma, entry["licence"], entry["origin"]))
    output.absolute().parent.mkdir(parents=True, exist_ok=True)
    hidden = tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.absolute().parent)
    with hidden as work, named(output, Path(work)):
        blocks, costs = Path(work, "blocks"), Path(work, COSTS)
        _copy_blocks(sets, joined, blocks, costs)
        write_blockset(
            output,
            sources,
            np.memmap(blocks, BLOCK_DTYPE, "r"),
            sets[0].bit_depth,
            sets[0].manifest["encoder"],
            block_size=sets[0].node,
            costs=None if sets[0].costs is None else np.memmap(costs, COST_DTYPE, "r"),
            excluded=_excluded(sets, joined),
            overwrite=overwrite,
        )
    return joined.notes


def _copy_blocks(sets: Sequence[BlockSet], joined: Joined, blocks: Path, costs: Path) -> None:
    """Write the blocks of the sources that stay, and their costs, to one file each."""
    with blocks.open("wb") as to_blocks, costs.open("wb") as to_costs:
        for number, data in enumerate(sets):
            table = np.full(len(data.sources), -1, np.int64)
            for old, new in joined.numbers(number).items():
                table[old] = new
            for part in parts(len(data.blocks)):
                kept = table[data.blocks["source"][part]] >= 0
                records = data.blocks[part][kept]
                records["source"] = table[records["source"]]
                to_blocks.write(records.tobytes())
                if data.costs is not None:
                    to_costs.write(data.costs[part][kept].tobytes())


def merge_groups(
    paths: Sequence[Path], output: Path, *, split: str | None = None, overwrite: bool = False
) -> list[str]:
    """Merge folders of data sets of several node sizes, size by size; otherwise as `merge_blocksets`."""
    check_free(output, overwrite)
    names = [set_names(path) for path in paths]
    for path, own in zip(paths, names, strict=True):
        if own != names[0]:
            raise ToolkitError(
                f"{paths[0]} holds {', '.join(names[0])} and {path} {', '.join(own)}. Merge sets of one size by name."
            )
    notes: dict[str, None] = {}
    with atomic_folder(output, overwrite=overwrite) as folder:
        for name in names[0]:
            notes |= dict.fromkeys(merge_blocksets([path / name for path in paths], folder / name, split=split))
        write_group(folder, {name: folder / name for name in names[0]})
    return list(notes)


def _joined(paths: Sequence[Path], sets: Sequence[BlockSet]) -> Joined:
    def keys(number: int, source: int) -> tuple[str, str]:
        entry = sets[number].sources[source]
        return entry["sha256"], f"pixels {sets[number].manifest['files'][entry['luma']]}"

    def differ(one: tuple[int, int], two: tuple[int, int]) -> str:
        if keys(*one)[1] != keys(*two)[1]:
            return "their pixels differ"
        return "" if _labels(sets[one[0]], one[1]) == _labels(sets[two[0]], two[1]) else "their labels differ"

    return join(paths, [data.sources for data in sets], keys, differ)


def _labels(data: BlockSet, source: int) -> bytes:
    """A source's records, without its number in the set."""
    records = data.blocks[np.flatnonzero(data.blocks["source"] == source)]
    records["source"] = 0
    return records.tobytes()


def _excluded(sets: Sequence[BlockSet], joined: Joined) -> dict[str, int]:
    """Sum of the nodes that were never stored, by reason, less those of the sources that were dropped."""
    total: dict[str, int] = {}
    for number, data in enumerate(sets):
        for reason, count in data.manifest["excluded"].items():
            total[reason] = total.get(reason, 0) + count
        for source in set(range(len(data.sources))) - set(joined.numbers(number)):
            entry, node = data.sources[source], data.node
            whole = (entry["height"] // node) * (entry["width"] // node)
            cut = -(-entry["height"] // node) * -(-entry["width"] // node) - whole
            levels = int((data.blocks["source"] == source).sum()) // (whole * entry["frames"])
            total[CUT] = total.get(CUT, 0) - cut * entry["frames"] * levels
    return {reason: count for reason, count in total.items() if count}
