"""What a record of the search holds: decisions, stages, features, and from which point each is known.

The C hook defines the features (integration/libaom/node_features.h) and lists them through its interface. A record
carries that list, so that no second definition exists.
"""

from dataclasses import dataclass

EACH_AB = ("no_horz_a", "no_horz_b", "no_vert_a", "no_vert_b")
"""Decisions about one AB each, in the order of AV1's partition ids."""
DECISIONS = ("stop", "no_split", "no_rect", "no_ab", "no_four_way", "no_more_split", *EACH_AB)
"""What a pruner may skip: all after NONE, SPLIT, the rectangles with all after them, the ABs, HORZ_4 and VERT_4; a
quarter of SPLIT with those after it, whereby the square around it loses SPLIT; each AB by itself."""
USUAL = DECISIONS[:5]
"""What a pruner learns to skip unless told otherwise. The others add nothing beside these (docs/benchmarks.md)."""
SIDES = (8, 16, 32, 64, 128)
"""Sides, in pixels, of the squares that libaom searches, in the order of the C interface."""
POINTS = ("node", "none", "split", "ab", "four_way")
"""Points of a node's search from which features are known: before it, after NONE, SPLIT, HORZ and VERT, the ABs."""
POINT_OF = {"stop": 1, "no_split": 1, "no_rect": 2, "no_ab": 3, "no_four_way": 4, "no_more_split": 0}
POINT_OF |= dict.fromkeys(EACH_AB, 3)
"""Index in POINTS of the point at which each decision is taken."""
FRAME_KINDS = ("key", "inter")
"""Kinds of frames whose search is recorded and pruned; `key` stands for all intra frames."""
STAGES = ("none", "split", "rect", "horz_a", "horz_b", "vert_a", "vert_b", "four_way")
"""Parts of a node's search in order, whose CPU time is recorded."""


@dataclass(frozen=True)
class Feature:
    """A number known of a node during its search: `point` is the index in POINTS from which on it is known."""

    name: str
    unit: str
    point: int


def known_at(features: tuple[Feature, ...], decision: str) -> int:
    """How many of the features, which are sorted by point, a decision may look at."""
    return sum(feature.point <= POINT_OF[decision] for feature in features)
