"""A folder of data sets of several node sizes, made from one pass over the encoder."""

from collections.abc import Mapping
from pathlib import Path

from toolkit.files import atomic_write_json, read_json, seal
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
    """Names of the data sets in the folder; ToolkitError where its manifest was edited or is another's."""
    mend = "Label the sources again with `av1part label --node`."
    return sorted(
        read_sealed(folder / "manifest.json", KIND, FORMAT_VERSION, "such a folder's", mend, {"sets": dict})["sets"]
    )
