"""Settings of an encoder as manifests record them, and whether two of them lead to the same decisions."""

from collections.abc import Mapping
from typing import Any, Final, TypedDict

IMPORTED: Final = "imported"
"""Entry of labels that `av1part data import` brought in: what it found in their files, in place of any setting."""
NOT_DECISIVE = ("cq", "input", "threads", IMPORTED)
"""Entries that leave the decision about a given block at a given qindex unchanged: which qindexes and pictures were
labelled, on how many threads, and the importer's bookkeeping."""


class _Beside(TypedDict, total=False):
    """Settings that a record may lack. `input`: how sources were read; `recorded`: which superblocks, drawn how."""

    name: str
    threads: int
    passes: int
    end_usage: str
    lag_in_frames: int
    kf_max_dist: int
    deltaq_mode: int
    chroma: str
    tune: str
    all_key_frames: bool
    cq: list[int]
    input: dict[str, object]
    frame_kind: str
    feature_table: str
    recorded: dict[str, float]
    imported: dict[str, Any]


class EncoderRecord(_Beside, total=False):
    """Settings of the encoder whose decisions were labelled or learnt; `imported` alone where they are not known."""

    version: str
    usage: str
    cpu_used: int
    enable_1to4_partitions: int


class RecordedBy(_Beside):
    """Settings of the encoder whose search was recorded, with those that a pruner takes over."""

    version: str
    usage: str
    cpu_used: int
    enable_1to4_partitions: int


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
