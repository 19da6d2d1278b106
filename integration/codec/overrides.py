"""Speed features of libaom that a pruner's folder may override: the list of `libaom/overrides.toml`.

`python -m integration.codec.overrides` writes it as a C header where C reads it.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from toolkit.errors import ToolkitError
from toolkit.files import atomic_write_bytes

_FOLDER = Path(__file__).resolve().parents[1] / "libaom"
TABLE, HEADER = _FOLDER / "overrides.toml", _FOLDER / "override_table.h"
COMMAND = "python -m integration.codec.overrides"
Overrides = Mapping[str, int]
"""Values by the features' names, as in `{"lpf_sf.prune_wiener_based_on_src_var": 2}`."""


class Range(NamedTuple):
    """Least and greatest value of a feature."""

    least: int
    greatest: int


@cache
def features() -> dict[str, Range]:
    """Features by name, as in `intra_sf.top_intra_model_count_allowed`, in the order of the C table."""
    table = tomllib.loads(TABLE.read_text())
    return {f"{part}.{name}": Range(*own) for part, named in table.items() for name, own in named.items()}


def check_overrides(given: Mapping[str, Any], where: str) -> None:
    """Raise ToolkitError, which begins with `where`, unless all are features of the list with values in their range."""
    for name, value in given.items():
        if name not in features():
            raise ToolkitError(f"{where}: {name!r:.80} is no speed feature that can be overridden. {TABLE} lists them.")
        least, greatest = features()[name]
        if type(value) is not int or not least <= value <= greatest:
            raise ToolkitError(f"{where}: {name} is {value!r:.40}, expected {least} to {greatest}.")


def c_header() -> str:
    """Text of the C header: a row for each feature."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield f"/* Made from overrides.toml by `{COMMAND}`. */"
    yield "#ifndef AV1PART_OVERRIDE_TABLE_H_\n#define AV1PART_OVERRIDE_TABLE_H_\n"
    yield f"#define AV1PART_OVERRIDES {len(features())}\n"
    yield "/* Field of SPEED_FEATURES, least and greatest value of each feature. */"
    yield "#define AV1PART_OVERRIDE_TABLE(ROW) \\"
    rows = [f"  ROW({name}, {least}, {greatest})" for name, (least, greatest) in features().items()]
    yield " \\\n".join(rows)
    yield "\n#endif\n"


if __name__ == "__main__":
    atomic_write_bytes(HEADER, c_header().encode())
