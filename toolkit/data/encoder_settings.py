"""Compare two records of encoder settings: do they lead to the same decisions?"""

from collections.abc import Mapping
from typing import Any

NOT_DECISIVE = ("cq", "input", "threads")
"""Settings that leave the decision about a given block at a given qindex unchanged: which qindexes and pictures were
labelled, and on how many threads."""


def settings_differ(own: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Name the decisive settings in which `other` differs from `own`; an empty text where there is none."""
    keys = sorted(({*own, *other}) - set(NOT_DECISIVE))
    return "; ".join(f"{k}: {other.get(k)!r}, expected {own.get(k)!r}" for k in keys if own.get(k) != other.get(k))
