"""Making one checkpoint of several models: their probabilities averaged, and measured afresh."""

import math
from collections.abc import Sequence
from pathlib import Path

from toolkit.data.blockset import Blocks, BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import sha256_file
from toolkit.metrics import baselines
from toolkit.model.checkpoint import Checkpoint, environment, save_checkpoint
from toolkit.model.ensemble import Ensemble
from toolkit.model.ensemble_config import EnsembleConfig
from toolkit.model.pretrained import fingerprint
from toolkit.model.provenance import MemberRecord, is_known, trained_on
from toolkit.model.suitability import check_data
from toolkit.partition import STAGES
from toolkit.training.data import calibration_blocks, validation_blocks
from toolkit.training.run_folder import RunFolder, open_checkpoint, recorded_best
from toolkit.training.selection import TOLERANCE, evaluate


def data_of(members: Sequence[Path]) -> Path:
    """Path of the data set of the first run folder among the members; ToolkitError where none is a run folder."""
    for path in members:
        if path.is_dir():
            return RunFolder.open(path).data_path()
    raise ToolkitError("Checkpoint files do not say where their data set lies. Name it with --data.")


def make_ensemble(members: Sequence[Path], output: Path, data: BlockSet, views: str = "none") -> Checkpoint:
    """Write the checkpoint of the ensemble of these run folders (their recorded best epochs) or checkpoint files.

    The ensemble and each member are scored on the whole validation split of `data`; `provenance["members"]` records
    each member's file, provenance and score. Raises ToolkitError where `output` exists; where members differ in what
    they take or give, or are the same weights twice; and where one has learnt other encoder settings, was trained on a
    source that `data` holds back, or no longer gives its recorded score on the data set that it was trained with.
    """
    if output.exists():
        raise ToolkitError(f"{output} exists already. Choose another name, or remove it.")
    names = [str(path) for path in members]
    opened = [open_checkpoint(path) for path in members]
    config = EnsembleConfig.of([member.config for member in opened], views, names)
    _check_distinct(names, opened)
    for name, member in zip(names, opened, strict=True):
        check_data(name, member, data)
    model = Ensemble(config)
    for own, member in zip(model.members, opened, strict=True):
        own.load_state_dict(member.model.state_dict())
    model.eval()
    val = validation_blocks(data, config, None)
    records = [_record(path, member, data, val) for path, member in zip(members, opened, strict=True)]
    fitted = STAGES[config.stage].targets(data.blocks[data.split_index("train", config.stage)]["partition"])
    checkpoint = Checkpoint(
        model=model,
        epoch=0,
        metrics=evaluate(model, val)[1],
        baselines=baselines(fitted, val.target, config.classes),
        data_sha256=data.sha256,
        encoder=data.manifest["encoder"],
        calibration=calibration_blocks(val),
        provenance={
            "run": output.name,
            "init": {"kind": "ensemble"},
            "views": views,
            "members": records,
            "train_sources": sorted({source for member in opened for source in trained_on(member.provenance)}),
            "train_sources_known": all(is_known(member.provenance) for member in opened),
            "environment": environment(),
        },
    )
    save_checkpoint(output, checkpoint)
    return checkpoint


def _check_distinct(names: Sequence[str], members: Sequence[Checkpoint]) -> None:
    """Raise ToolkitError where two members have the same weights."""
    seen: dict[str, str] = {}
    for name, member in zip(names, members, strict=True):
        first = seen.setdefault(fingerprint(member.model.state_dict()), name)
        if first is not name:
            raise ToolkitError(f"{name} has the very weights of {first}: it would count twice. Name each model once.")


def _record(path: Path, member: Checkpoint, data: BlockSet, val: Blocks) -> MemberRecord:
    """Record of a member, with its score measured here; ToolkitError where that is not the recorded one."""
    file = recorded_best(RunFolder.open(path)) if path.is_dir() else path
    macro_f1 = evaluate(member.model, val)[1]["macro_f1"]
    recorded, limit = member.macro_f1, member.provenance.get("train", {}).get("limit_val")
    same_blocks = data.sha256 == member.data_sha256 and limit is None
    if same_blocks and not math.isclose(macro_f1, recorded, abs_tol=TOLERANCE["macro_f1"]):
        raise ToolkitError(
            f"{file}: macro-F1 is {macro_f1:.4f} from the file, {recorded:.4f} as recorded. "
            "The checkpoint is not the one that was measured. Train it again."
        )
    return {
        "name": path.name,
        "sha256": sha256_file(file),
        "backbone": member.config.backbone,
        "epoch": member.epoch,
        "macro_f1": macro_f1,
        "data_sha256": member.data_sha256,
        "provenance": member.provenance,
    }
