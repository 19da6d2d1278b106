"""The list of `table.toml` as a C header; `python -m toolkit.search.header` writes it where C reads it."""

from collections.abc import Iterable
from pathlib import Path

from toolkit.files import atomic_write_bytes
from toolkit.search.table import DECISIONS, FEATURES, POINTS, SIDES, SKIPS, STAGES, TABLES, VERSION, Feature

HEADER = Path("integration/libaom/search_table.h")
"""Place of the header, in the folder that holds the packages."""
COMMAND = "python -m toolkit.search.header"


def c_header() -> str:
    """Text of the header: counts, enumerations, and initialisers of the tables of names."""
    sides = ", ".join(map(str, SIDES))
    parts = [
        f"/* Made from toolkit/search/table.toml by `{COMMAND}`. */",
        "#ifndef AV1PART_SEARCH_TABLE_H_\n#define AV1PART_SEARCH_TABLE_H_\n",
        f"#define AV1PART_FEATURES_VERSION {VERSION} /* raised when a feature of the same name means something else */",
        f"#define AV1PART_SQUARES {len(SIDES)} /* sides of the squares that are searched: {sides} */",
        "\n/* What a pruner may skip at a square. */",
        _enumeration("AV1PART_", ((name, SKIPS[name]) for name in DECISIONS), "AV1PART_DECISIONS"),
        "\n/* The parts of a square's search, in order. */",
        _enumeration("AV1PART_STAGE_", ((name, "") for name in STAGES), "AV1PART_STAGES"),
        "\n/* The points of a square's search from which features are known. */",
        _enumeration("AV1PART_POINT_", ((name, "") for name in POINTS), "AV1PART_POINTS"),
        "\n/* What is known of a square, sorted by point. */",
        _enumeration("AV1PART_FEATURE_", ((f.name, f.unit) for f in FEATURES), "AV1PART_FEATURES"),
        "\n/* Names of the decisions. */",
        _table("AV1PART_DECISION_NAMES", (f'"{name}"' for name in DECISIONS)),
        f"\n#define AV1PART_INTRA_FEATURES {len(TABLES['key'])} /* of these, those of intra frames too */",
        "\n/* Name, unit and point of each feature, and whether it is known in inter frames alone. */",
        _table("AV1PART_FEATURE_TABLE", map(_row, FEATURES)),
        "\n#endif\n",
    ]
    return "\n".join(parts)


def _enumeration(prefix: str, names: Iterable[tuple[str, str]], count: str) -> str:
    """C enumeration of these names, each with its comment, and of their number under the name `count`."""
    lines = [f"  {prefix}{name.upper()},{f' /* {said} */' if said else ''}" for name, said in names]
    return "\n".join(["enum {", *lines, f"  {count}", "};"])


def _row(feature: Feature) -> str:
    return f'{{ "{feature.name}", "{feature.unit}", {feature.point}, {int(feature not in TABLES["key"])} }}'


def _table(name: str, rows: Iterable[str]) -> str:
    """C macro that initialises an array with these rows."""
    return "\n".join([f"#define {name} {{ \\", *(f"  {row}, \\" for row in rows), "}"])


if __name__ == "__main__":
    atomic_write_bytes(Path(__file__).resolve().parents[2] / HEADER, c_header().encode())
