"""The script that plants the field's old defects really plants them: a run with one is another run."""

from pathlib import Path

import pytest
import torch

from benchmarks.defects import DEFECTS, Bench, Defect, nothing
from toolkit.data.blockset import BlockSet
from toolkit.training.run_folder import RunFolder

OPTIONS = {"epochs": 1, "freeze_epochs": 0, "limit_train": 200, "limit_val": 100, "batch_size": 50, "lr": 2e-3}
UNFELT = "the same in Stage 2, which takes AB as one"


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda d: d.name)
def test_a_planted_defect_changes_the_run(defect: Defect, blockset_8: Path, tmp_path: Path) -> None:
    bench = Bench(BlockSet.load(blockset_8), tmp_path, "small", OPTIONS)
    sound, planted = (
        bench.run(defect.stage, plant, defect.shared | changed, 42)
        for plant, changed in ((nothing, {}), (defect.plant, defect.changed))
    )
    assert differ(sound, planted) == (defect.name != UNFELT)


def differ(one: RunFolder, other: RunFolder) -> bool:
    ours, theirs = (
        torch.load(run.artefact("model_final.pt"), weights_only=True)["model_state_dict"] for run in (one, other)
    )
    return set(ours) != set(theirs) or any(not torch.equal(ours[k], theirs[k]) for k in ours)
