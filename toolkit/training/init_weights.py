"""Where a run's first weights come from: Stage 1, ImageNet or chance."""

from pathlib import Path
from typing import Any

from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.model.checkpoint import Checkpoint, load_weights
from toolkit.model.network import PartitionNet
from toolkit.model.pretrained import fingerprint, load_imagenet
from toolkit.model.provenance import record_of
from toolkit.model.suitability import check_held_out
from toolkit.training.run_folder import open_checkpoint


def initialise(
    model: PartitionNet, init: str, data: BlockSet, start: Path | None, weights: Path | None
) -> dict[str, Any]:
    """Set the backbone's weights; returns a record of them. The head stays random (the seed's).

    Raises ToolkitError where the source is missing, is of another backbone, window or bit depth, or has been trained
    on a source that `data` keeps for validation or test.
    """
    if (start is None) == (init == "stage1"):
        raise ToolkitError(f"--init {init}: --from RUN_OR_CKPT is {'needed' if start is None else 'only for stage1'}.")
    if weights is not None and init != "imagenet":
        raise ToolkitError(f"--weights goes with --init imagenet, not with {init}.")
    record: dict[str, Any] = {"kind": init}
    if init == "imagenet":
        record |= load_imagenet(model, weights)
    elif start is not None:
        checkpoint = open_checkpoint(start)
        _check_stage1(checkpoint, model, data, start)
        load_weights(model.backbone, checkpoint.model.get_submodule("backbone").state_dict(), str(start))
        record |= {"epoch": checkpoint.epoch, "data_sha256": checkpoint.data_sha256}
        record |= {"macro_f1": checkpoint.metrics["macro_f1"]} | record_of(checkpoint.provenance)
    return record | {"backbone_sha256": fingerprint(model.backbone.state_dict())}


def _check_stage1(checkpoint: Checkpoint, model: PartitionNet, data: BlockSet, start: Path) -> None:
    if checkpoint.stage != "1":
        raise ToolkitError(f"{start}: a checkpoint of stage {checkpoint.stage}, --init stage1 needs one of Stage 1.")
    for name in ("backbone", "bit_depth", "node", "context", "spatial_attention"):
        found, wanted = getattr(checkpoint.config, name), getattr(model.config, name)
        if found != wanted:
            raise ToolkitError(f"{start}: {name} is {found}, this model's is {wanted}. Train Stage 1 with {wanted}.")
    check_held_out(f"{start}: Stage 1", checkpoint, data)
