"""First weights of a run: from Stage 1, from ImageNet, or random."""

from pathlib import Path

from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.model.checkpoint import Checkpoint, load_weights
from toolkit.model.network import PartitionNet
from toolkit.model.pretrained import fingerprint, load_imagenet
from toolkit.model.provenance import InitRecord, record_of
from toolkit.model.suitability import check_held_out
from toolkit.training.run_folder import open_checkpoint


def initialise(model: PartitionNet, init: str, data: BlockSet, start: Path | None, weights: Path | None) -> InitRecord:
    """Set the backbone's weights and return a record of them. The head keeps its random weights.

    Raises ToolkitError where `start` or `weights` does not go with `init`, or is missing; and where the Stage-1 model
    has another backbone, window or bit depth, or was trained on a source that `data` keeps for validation or test.
    """
    if (start is None) == (init == "stage1"):
        raise ToolkitError(f"--init {init}: --from RUN_OR_CKPT is {'needed' if start is None else 'only for stage1'}.")
    if weights is not None and init != "imagenet":
        raise ToolkitError(f"--weights goes with --init imagenet, not with {init}.")
    record: InitRecord = {"kind": init}
    if init == "imagenet":
        record.update(load_imagenet(model, weights))
    elif start is not None:
        checkpoint = open_checkpoint(start)
        _check_stage1(checkpoint, model, data, start)
        load_weights(model.backbone, checkpoint.model.get_submodule("backbone").state_dict(), str(start))
        seen = record_of(checkpoint.provenance)
        record["epoch"], record["data_sha256"] = checkpoint.epoch, checkpoint.data_sha256
        record["macro_f1"] = checkpoint.macro_f1
        record["trained_on"], record["train_sources_known"] = seen["trained_on"], seen["train_sources_known"]
    record["backbone_sha256"] = fingerprint(model.backbone.state_dict())
    return record


def _check_stage1(checkpoint: Checkpoint, model: PartitionNet, data: BlockSet, start: Path) -> None:
    """Raise ToolkitError unless the checkpoint is a Stage-1 model whose backbone fits this one, and `data` suit it."""
    if checkpoint.stage != "1":
        raise ToolkitError(f"{start}: a checkpoint of stage {checkpoint.stage}, --init stage1 needs one of Stage 1.")
    for name in ("backbone", "bit_depth", "node", "context", "spatial_attention"):
        found, wanted = getattr(checkpoint.config, name), getattr(model.config, name)
        if found != wanted:
            raise ToolkitError(f"{start}: {name} is {found}, this model's is {wanted}. Train Stage 1 with {wanted}.")
    check_held_out(f"{start}: Stage 1", checkpoint, data)
