"""When two records of encoder settings stand for the same decisions."""

from typing import Any

NOT_DECISIVE = ("cq", "input", "threads")
"""Which qindexes and pictures were labelled, and on how many threads: given a block and its qindex, the encoder
decides alike. The qindex and the pixels are in the data themselves."""


def settings_differ(own: dict[str, Any], other: dict[str, Any]) -> str:
    """The decisive settings in which `other` differs from `own`, in words; empty where there is none."""
    keys = sorted(({*own, *other}) - set(NOT_DECISIVE))
    return "; ".join(f"{k}: {other.get(k)!r}, expected {own.get(k)!r}" for k in keys if own.get(k) != other.get(k))
