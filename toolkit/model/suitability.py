"""May this model meet these data: bit depth, encoder settings, sources seen in training. Light: imports no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.data.blockset import BlockSet
from toolkit.data.encoder_settings import settings_differ
from toolkit.errors import ToolkitError
from toolkit.model.provenance import trained_on

if TYPE_CHECKING:
    from toolkit.model.checkpoint import Checkpoint


def check_bit_depth(name: str | Path, bit_depth: int, data: BlockSet, advice: str = "") -> None:
    """Raise ToolkitError unless the data have the bit depth that the model called `name` takes."""
    if data.bit_depth != bit_depth:
        raise ToolkitError(f"{data.path} has {data.bit_depth}-bit luma, {name} takes {bit_depth} bit.{advice}")


def check_settings(path: Path, encoder: Mapping[str, Any], data: BlockSet) -> None:
    """Raise ToolkitError unless the data were labelled with the encoder settings that the model at `path` learnt."""
    if differences := settings_differ(encoder, data.manifest["encoder"]):
        raise ToolkitError(
            f"{data.path} was made with other encoder settings than {path} was trained for ({differences}). "
            "Label it with the same settings, or pass --any-settings."
        )


def seen_sources(provenance: Mapping[str, Any], data: BlockSet, split: str) -> list[str]:
    """Names of the split's sources on which the model, or a model that it learnt from, was trained."""
    seen = trained_on(provenance)
    return [s["name"] for s in data.sources if s["split"] == split and s["sha256"] in seen]


def check_unseen(provenance: Mapping[str, Any], data: BlockSet, split: str, advice: str = "") -> None:
    """Raise ToolkitError where the split holds a source that the model was trained on.

    `advice`: how the message goes on after the number of such sources; without it, the number is left out.
    """
    if seen := seen_sources(provenance, data, split):
        end = f" ({len(seen)} sources in all){advice}" if advice else "."
        raise ToolkitError(f"{data.path}: the model was trained on {', '.join(seen[:5])} of the {split} split{end}")


def check_held_out(name: str, checkpoint: "Checkpoint", data: BlockSet) -> None:
    """Raise ToolkitError where the model called `name` was trained on what `data` keeps for validation or test."""
    seen = {split: seen_sources(checkpoint.provenance, data, split) for split in ("val", "test")}
    leaked = [f"{source} ({split})" for split, sources in seen.items() for source in sources]
    if leaked:
        raise ToolkitError(
            f"{name} was trained on {', '.join(leaked[:5])} ({len(leaked)} sources in all), which {data.path} holds "
            "back. Train it on this data set, or change the split."
        )


def check_data(name: str, checkpoint: "Checkpoint", data: BlockSet) -> None:
    """Raise ToolkitError unless a new model may learn from the one called `name` on these data.

    Both must have the same bit depth and encoder settings, and `check_held_out` must pass.
    """
    advice = " Use a data set like the one that it was trained on."
    check_bit_depth(name, checkpoint.config.bit_depth, data, advice)
    if differences := settings_differ(checkpoint.encoder, data.manifest["encoder"]):
        raise ToolkitError(
            f"{name} was trained for other encoder settings than those of {data.path} ({differences}). "
            "Use a model of the encoder that the data set was labelled with."
        )
    check_held_out(name, checkpoint, data)
