"""Settings of `av1part encode`, apart from the encoder so that the command line can read the defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from integration.codec.config import CodingConfig
from integration.media.config import SOURCES, StillConfig
from toolkit.option import option

DECIDING = "Masks and pruners"
"""Group of options in the help of commands."""
CLIP_KEYINT, CLIP_LAG = 240, 35
"""Largest distance between key frames of a clip, so that a player finds a place within 10 seconds, and number of frames
that libaom looks ahead, its own default in GOOD usage: what `av1part encode` takes where nobody says otherwise."""
AVIF = ".avif"
USUAL = {"cq": 32, "cpu_used": 1, "usage": "good"}
AVIF_USUAL = {"cq": 25, "cpu_used": 6, "usage": "allintra"}
"""What it takes otherwise, and for AVIF as avifenc does, whose quality of 60 is libaom's 25."""


def distances(keyint: int | None, lag: int | None, *, intra: bool, learnt: Mapping[str, Any]) -> dict[str, int]:
    """`keyint` and `lag` of an encode, None for what is usual; a `keyint` of 0 is 1, key frames alone.

    Usual are key frames alone where an encode is `intra`, of a photograph or in all-intra usage; else the distances of
    the encoder from which a pruner of inter frames `learnt` (empty for none), and for a clip CLIP_KEYINT and CLIP_LAG.
    """
    if keyint is None:
        keyint = 1 if intra else learnt.get("kf_max_dist") or CLIP_KEYINT
    usual = learnt.get("lag_in_frames", CLIP_LAG) if keyint > 1 else 0
    return {"keyint": max(1, keyint), "lag": usual if lag is None else lag}


@dataclass(frozen=True, kw_only=True)
class EncodeConfig(StillConfig, CodingConfig):
    """How a clip is read and coded; by default every frame is a key frame (`distances` says what the command does).

    Only key frames are masked.

    `ahead` frames are prepared while the encoder works, 0 for none. `any_settings` lets a pipeline mask an encode whose
    settings it was not made for. `price` is what a pruner may lose for the time that it saves; None takes its own.
    `audio` carries the sound over where the output's format holds it; with `frames` or `allow_truncated` it ends with
    the last frame.
    """

    ahead: int = option(
        2,
        "Frames prepared while the encoder works: decoded and, where all are key frames, masked.",
        DECIDING,
        least=0,
        most=64,
    )
    any_settings: bool = option(
        False,
        "Use a pipeline (not a pruner) made for other encoder settings.",
        DECIDING,
        flags="--any-settings",
    )
    price: float | None = option(
        None,
        "What the pruner, named or by default, may lose for the time that it saves.  [default: its own]",
        DECIDING,
    )
    audio: bool = option(
        True,
        "Copy the sound where the output's format holds it; with --frames or --allow-truncated, up to the last frame.",
        SOURCES,
    )
