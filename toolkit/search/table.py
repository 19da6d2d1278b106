"""The list of `table.toml`: sides, points and stages of a square's search, decisions, and features by point.

C has the same list, and names it through its interface. A record carries the features that it was made with.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

_TABLE = tomllib.loads(Path(__file__).with_name("table.toml").read_text())


@dataclass(frozen=True)
class Feature:
    """A number known of a node during its search: `point` is the index in POINTS from which on it is known."""

    name: str
    unit: str
    point: int


VERSION = int(_TABLE["version"])
"""Number of the meaning of the features."""
SIDES: tuple[int, ...] = tuple(_TABLE["sides"])
"""Sides, in pixels, of the squares that libaom searches, in the order of the C interface."""
STAGES: tuple[str, ...] = tuple(_TABLE["stages"])
"""Parts of a node's search in order, whose CPU time is recorded."""
POINTS: tuple[str, ...] = tuple(_TABLE["features"])
"""Points of a node's search from which features are known: before it, after NONE, SPLIT, HORZ and VERT, the ABs."""
FRAME_KINDS = ("key", "inter")
"""Kinds of frames whose search is recorded and pruned; `key` stands for all intra frames."""


def _known_in(*groups: str) -> tuple[Feature, ...]:
    """Features of these groups of the list, point by point."""
    return tuple(
        Feature(name, unit, number)
        for number, point in enumerate(POINTS)
        for group in groups
        for name, unit in _TABLE[group].get(point, {}).items()
    )


TABLES: dict[str, tuple[Feature, ...]] = {"key": _known_in("features"), "inter": _known_in("features", "inter")}
"""What is known of a node by the kind of its frame, sorted by point. Inter frames have all that key frames have."""
FEATURES = TABLES["inter"]
"""All features, in the order of the C interface."""
IN_KEY_FRAMES = tuple(FEATURES.index(feature) for feature in TABLES["key"])
"""Places of the features of key frames among all."""
SKIPS: dict[str, str] = {name: entry["skips"] for name, entry in _TABLE["decisions"].items()}
"""What each decision skips, in words."""
DECISIONS = tuple(SKIPS)
"""What a pruner may skip: all after NONE, SPLIT, the rectangles with all after them, the ABs, HORZ_4 and VERT_4; a
quarter of SPLIT with those after it, whereby the square around it loses SPLIT; each AB by itself."""
EACH_AB = DECISIONS[-4:]
"""Decisions about one AB each, in the order of AV1's partition ids."""
USUAL = DECISIONS[:5]
"""What a pruner learns to skip unless told otherwise. The others add nothing beside these (docs/benchmarks.md)."""
POINT_OF = {name: POINTS.index(entry["point"]) for name, entry in _TABLE["decisions"].items()}
"""Index in POINTS of the point at which each decision is taken."""


def known_at(features: tuple[Feature, ...], decision: str) -> int:
    """How many of the features, which are sorted by point, a decision may look at."""
    return sum(feature.point <= POINT_OF[decision] for feature in features)
