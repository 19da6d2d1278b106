"""A folder of data sets of several node sizes, made from one pass over the encoder."""

from collections.abc import Mapping
from pathlib import Path

from toolkit.errors import ToolkitError
from toolkit.files import atomic_write_json, read_json, seal
from toolkit.partition import NODES
from toolkit.sealed import read_sealed

KIND = "av1part-blocksets"
FORMAT_VERSION = 1


def set_name(node: int) -> str:
    """Name, in the folder, of the data set of that node size."""
    return f"node{node}"


def write_group(folder: Path, sets: Mapping[str, Path]) -> None:
    """Write the manifest.json that says what the folder is; `sets` are its data sets by name."""
    hashes = {name: read_json(path / "manifest.json")["sha256"] for name, path in sets.items()}
    document = {"kind": KIND, "format_version": FORMAT_VERSION, "sets": hashes}
    atomic_write_json(folder / "manifest.json", seal(document))


def set_names(folder: Path) -> list[str]:
    """Names of the data sets in the folder, of `set_name`; ToolkitError where its manifest is not one of `write_group`.

    The data sets are opened by whoever reads them.
    """
    file, mend = folder / "manifest.json", "Label the sources again with `av1part label --node`."
    sets = read_sealed(file, KIND, FORMAT_VERSION, "such a folder's", mend, {"sets": dict})["sets"]
    if not sets or not set(sets) <= set(map(set_name, NODES)):  # they become paths
        raise ToolkitError(f"{file}: names {sorted(sets)!s:.300}, expected data sets called as node16. {mend}")
    return sorted(sets)
