"""What the encoders of a host did, as they say in two files of libaom's library (libaom/told.c)."""

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATS, REASONS = "stats", "reasons"
"""Names of the files: a line of JSON for each encoder, and a line for each reason why something was not pruned."""
_COUNTS = ("frames", "key_frames", "inter_frames", "pruned_frames", "masked_frames", "masked_nodes")
_MOST = 1 << 26


@dataclass(frozen=True)
class HostRun:
    """What a host did: its exit `status`, and sums over all encoders for which something was chosen.

    `frames` were shown by them; `key_frames` and `inter_frames` of these are of a kind that something is for:
    `pruned_frames` had a pruner, `masked_frames` masks, which took something away from the search of `masked_nodes`
    nodes. Of `asked` decisions `skipped` skipped a part of the search. `lines` are those of the encoders, as they wrote
    them, `reasons` say why something was not pruned. With `incomplete` a line could not be read: there may be more.
    """

    status: int
    frames: int
    key_frames: int
    inter_frames: int
    pruned_frames: int
    masked_frames: int
    masked_nodes: int
    asked: int
    skipped: int
    lines: tuple[str, ...]
    reasons: tuple[str, ...]
    incomplete: bool

    @classmethod
    def read(cls, status: int, folder: Path) -> "HostRun":
        """Read what a host that ended with a status has left in a folder. Raises nothing: the status is what counts."""
        lines, reasons = _lines(folder / STATS), _lines(folder / REASONS)
        counted = {line: counts for line in lines or () if (counts := _counts(line)) is not None}
        own = [counted[line] for line in lines or () if line in counted]
        return cls(
            status=status,
            **{name: sum(counts[name] for counts in own) for name in (*_COUNTS, "asked", "skipped")},
            lines=tuple(line for line in lines or () if line in counted),
            reasons=tuple(reasons or ()),
            incomplete=lines is None or reasons is None or not set(lines) <= set(counted),
        )


def _lines(file: Path) -> list[str] | None:
    """Lines of a file, none of one that is not there; None where it cannot be read."""
    try:
        status = file.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST:
            return None
        return file.read_bytes().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError:
        return None


def _counts(line: str) -> Mapping[str, int] | None:
    """Counts of an encoder's line; None where it is no such line, as one that a full disk cut short."""
    try:
        entry: dict[str, Any] = json.loads(line)
        decisions = list(entry["decisions"].values())
        found = {name: entry.get(name, 0) for name in _COUNTS}
        found |= {name: sum(own[name] for own in decisions) for name in ("asked", "skipped")}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return found if all(type(value) is int and value >= 0 for value in found.values()) else None
