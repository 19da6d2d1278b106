"""`hook.txt`: what C reads of a pruner's folder, written from the sealed manifest (libaom/pruner_file.h)."""

from collections.abc import Mapping
from typing import Any

from integration.codec.checked_text import checked_text, crc32
from integration.codec.config import CHROMAS
from toolkit.errors import ToolkitError
from toolkit.pruners.record import frame_kind

NAME = "hook.txt"


def hook_text(manifest: Mapping[str, Any], data: bytes) -> bytes:
    """Lines of `hook.txt` for a manifest and the bytes of its `pruner.bin`.

    Raises ToolkitError on a price that is no short decimal.
    """
    encoder = made_for(manifest)
    lines = [
        "av1part-pruner 1",
        f"libaom {encoder['version']}",
        f"features {manifest['feature_table']}",
        f"bit_depth {manifest['bit_depth']}",
        f"usage {encoder['usage']}",
        f"cpu_used {encoder['cpu_used']}",
        f"four_way {encoder['enable_1to4_partitions']}",
        *([f"chroma {chroma}"] if (chroma := chroma_of(encoder)) != 420 else []),
        *(["frames inter"] if frame_kind(encoder) == "inter" else []),
        f"price {decimal(manifest['price'])}",
        f"most {decimal(manifest['most'])}",
        *(
            f"override {speed} {name} {value}"
            for speed, own in sorted(manifest.get("overrides", {}).items())
            for name, value in sorted(own.items())
        ),
        f"size {len(data)}",
        f"crc32 {crc32(data)}",
    ]
    return checked_text(lines)


def made_for(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the encoder that a pruner is for: those of its record, but for what it was tuned to."""
    return {**manifest["encoder"], **manifest.get("tuned", {})}


def chroma_of(encoder: Mapping[str, Any]) -> int:
    """Number of the chroma that a pruner was recorded with; ToolkitError where it is none of CHROMAS."""
    name = encoder.get("chroma", CHROMAS[420])
    for number, own in CHROMAS.items():
        if own == name:
            return number
    raise ToolkitError(f"chroma is {name!r:.40}, expected one of {', '.join(CHROMAS.values())}. Make the pruner again.")


def decimal(value: float) -> str:
    """A price or most as plain digits, which C reads as the same number in every locale.

    Raises ToolkitError on what it cannot: not above 0, 1000 or more, or with more than 12 decimals.
    """
    text = f"{value:.12f}".rstrip("0").rstrip(".")
    if float(text) != value or not 0 < value < 1000:
        raise ToolkitError(f"Price or most {value!r}: expected above 0 and below 1000, with at most 12 decimals.")
    return text
