"""A teacher: a trained model, at best an ensemble, whose answers a smaller one learns from (Hinton et al. 2015).

A label only says which class won, even if by a hair. The mean of several networks also says how near the others were,
and costs an encoder nothing once one network has learnt it.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toolkit.data.blockset import Blocks, BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import canonical_json
from toolkit.model.checkpoint import Checkpoint
from toolkit.model.config import ModelConfig
from toolkit.model.network import predict
from toolkit.model.pretrained import fingerprint
from toolkit.model.provenance import TeacherRecord, record_of
from toolkit.model.suitability import check_data
from toolkit.training.run_folder import open_checkpoint

_AT_ONCE = 1024


def open_teacher(path: Path, pupil: ModelConfig, data: BlockSet) -> tuple[Checkpoint, TeacherRecord]:
    """Load the teacher (of a run folder: the recorded best epoch) and make its record for the pupil's provenance.

    It may have another backbone, be an ensemble, or not see the qindex. Raises ToolkitError where it is of another
    stage, node size or context, where its weights are not finite, and as `check_data`: the pupil
    learns what the teacher has seen.
    """
    path = path.resolve()  # a resumed run only knows this one, and must make the same record
    teacher = open_checkpoint(path)
    for name in ("stage", "node", "context"):
        found, wanted = getattr(teacher.config, name), getattr(pupil, name)
        if found != wanted:
            raise ToolkitError(f"{path}: the teacher's {name} is {found}, this model's {wanted}. Name one of {wanted}.")
    check_data(f"{path}: the teacher", teacher, data)
    state = teacher.model.state_dict()
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise ToolkitError(f"{path}: the teacher has weights that are no numbers. Name another, or train it again.")
    # The config too: an ensemble's views are not in its weights.
    whole = canonical_json({"config": teacher.config.to_dict(), "weights": fingerprint(state)})
    record: TeacherRecord = {
        "name": path.name,
        "backbone": teacher.config.backbone,
        "sha256": hashlib.sha256(whole).hexdigest(),
        **record_of(teacher.provenance),
    }
    return teacher, record


def lessons(
    teacher: Checkpoint, blocks: Blocks, to_device: Callable[[Any], Any], report: Callable[..., None]
) -> Tensor:
    """Logits (N, classes) of the teacher at the blocks as they are stored; 0 at blocks that are not of its stage.

    Computed once in each process; the logits of a turned block are these in another order of classes. `report`: as
    train's `on_step`.
    """
    own = (blocks.target >= 0).nonzero()[0]
    model = to_device(teacher.model)
    answers = torch.zeros(len(blocks), len(teacher.config.classes))
    for begin in range(0, len(own), _AT_ONCE):
        report("teacher", begin, len(own))
        index = own[begin : begin + _AT_ONCE]
        answers[index] = predict(model, *(values[index] for values in blocks.inputs))
    report("teacher", len(own), len(own))
    return answers
