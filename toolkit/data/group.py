"""A folder of data sets of several node sizes, made from one pass over the encoder."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from toolkit.errors import ToolkitError
from toolkit.files import read_json
from toolkit.folders import BLOCKSETS
from toolkit.partition import NODES
from toolkit.sealed import SealedFolder
from toolkit.shapes import Sha256


class Group(TypedDict):
    """Content of manifest.json. `sets`: hash of each data set, by its name."""

    kind: str
    format_version: int
    sets: dict[str, Sha256]
    sha256: str


_MEND = "Label the sources again with `av1part label --node`."
FORMAT = SealedFolder(BLOCKSETS.kind, 1, Group, "such a folder's", _MEND)


def set_name(node: int) -> str:
    """Name, in the folder, of the data set of that node size."""
    return f"node{node}"


def write_group(folder: Path, sets: Mapping[str, Path]) -> None:
    """Write the manifest.json that says what the folder is; `sets` are its data sets by name."""
    hashes = {name: read_json(path / "manifest.json")["sha256"] for name, path in sets.items()}
    FORMAT.write({"sets": hashes}, folder)


def set_names(folder: Path) -> list[str]:
    """Names of the data sets in the folder, of `set_name`; ToolkitError where its manifest is not one of `write_group`.

    The data sets are opened by whoever reads them.
    """
    sets = FORMAT.read(folder)["sets"]
    if not sets or not set(sets) <= set(map(set_name, NODES)):  # they become paths
        raise ToolkitError(
            f"{folder / FORMAT.file}: names {sorted(sets)!s:.300}, expected data sets called as node16. {_MEND}"
        )
    return sorted(sets)
