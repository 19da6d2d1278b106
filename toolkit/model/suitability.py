"""Whether a model may be used with a data set."""

from toolkit.data.blockset import BlockSet
from toolkit.data.encoder_settings import settings_differ
from toolkit.errors import ToolkitError
from toolkit.model.checkpoint import Checkpoint
from toolkit.model.provenance import trained_on


def seen_sources(checkpoint: Checkpoint, data: BlockSet, split: str) -> list[str]:
    """Names of the split's sources on which the model, or one that it has learnt from, was trained."""
    trained = trained_on(checkpoint.provenance)
    return [s["name"] for s in data.sources if s["split"] == split and s["sha256"] in trained]


def check_held_out(name: str, checkpoint: Checkpoint, data: BlockSet) -> None:
    """Raise ToolkitError where the model called `name` was trained on what `data` keeps for validation or test."""
    leaked = [f"{source} ({split})" for split in ("val", "test") for source in seen_sources(checkpoint, data, split)]
    if leaked:
        raise ToolkitError(
            f"{name} was trained on {', '.join(leaked[:5])} ({len(leaked)} sources in all), which {data.path} holds "
            "back. Train it on this data set, or change the split."
        )


def check_data(name: str, checkpoint: Checkpoint, data: BlockSet) -> None:
    """As `check_held_out`; also where its bit depth is another, or it has learnt other encoder settings."""
    if data.bit_depth != checkpoint.config.bit_depth:
        raise ToolkitError(
            f"{data.path} has {data.bit_depth}-bit luma, {name} takes {checkpoint.config.bit_depth} bit. "
            "Use a data set like the one that it was trained on."
        )
    if differences := settings_differ(checkpoint.encoder, data.manifest["encoder"]):
        raise ToolkitError(
            f"{name} was trained for other encoder settings than those of {data.path} ({differences}). "
            "Use a model of the encoder that the data set was labelled with."
        )
    check_held_out(name, checkpoint, data)
