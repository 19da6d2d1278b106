"""Compare two records of encoder settings: do they lead to the same decisions?"""

from collections.abc import Mapping
from typing import Any

IMPORTED = "imported"
"""Entry of labels that `av1part data import` brought in: what it found in their files, in place of any setting."""
NOT_DECISIVE = ("cq", "input", "threads", IMPORTED)
"""Entries that leave the decision about a given block at a given qindex unchanged: which qindexes and pictures were
labelled, on how many threads, and the importer's bookkeeping."""


def is_recorded(settings: Mapping[str, Any]) -> bool:
    """Whether the settings are known. Those behind imported labels are not."""
    return IMPORTED not in settings


def settings_differ(own: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Name the decisive settings in which `other` differs from `own`; an empty text where there is none.

    Two imported records do not differ, because nothing is known of either.
    """
    if is_recorded(own) != is_recorded(other):
        return "unknown: imported labels do not say which encoder chose them"
    keys = sorted(({*own, *other}) - set(NOT_DECISIVE))
    return "; ".join(f"{k}: {other.get(k)!r}, expected {own.get(k)!r}" for k in keys if own.get(k) != other.get(k))
