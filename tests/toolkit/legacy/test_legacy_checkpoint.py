"""Older checkpoints: same output as the network that they came from, and refusals."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.legacy.checkpoint import import_checkpoint
from toolkit.model.checkpoint import load_checkpoint
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet

SCALE = 1 / 1023**2


def old_network(stage: str) -> PartitionNet:
    """The field's network, whose attention layers had no biases: luma scaled outside, so its own scaling is 1."""
    torch.manual_seed(1)
    network = PartitionNet(ModelConfig(stage, "resnet18-se", qindex=False, bit_depth=10, input_scale=1.0)).eval()
    for name, value in network.state_dict().items():
        if name.endswith("bias") and ("excitation" in name or "spatial" in name):
            value.zero_()
    return network


def old_file(stage: str, path: Path, **changes: Any) -> Path:
    state = {}
    for name, value in old_network(stage).state_dict().items():
        if not (name.endswith("bias") and ("excitation" in name or "spatial" in name)):
            state["head.temperature" if name == "temperature" else name] = value
    metrics = {"confusion": np.arange(9).reshape(3, 3), "f1": np.float64(0.46), "per_class": np.zeros(3, np.float32)}
    values = {"model_state_dict": state, "epoch": 26, "best_macro_f1": 0.4651, "val_metrics": metrics}
    torch.save(values | changes, path)
    return path


@pytest.mark.numeric
@pytest.mark.parametrize("stage", ["1", "2"])
def test_it_computes_what_the_old_network_computed(stage: str, blockset_10: Path, tmp_path: Path) -> None:
    data = BlockSet.load(blockset_10)
    imported = import_checkpoint(old_file(stage, tmp_path / "old.pt"), tmp_path / "new.pt", data, stage, SCALE)
    assert imported.epoch == 26
    model = load_checkpoint(tmp_path / "new.pt").model
    luma = data.split_blocks("val", stage, 16).luma
    scaled = torch.from_numpy(luma / 1023.0 / 1023.0).float()  # as the old scripts did
    with torch.no_grad():
        expected = old_network(stage)(scaled, torch.zeros(16, 1))
        found = model(torch.from_numpy(luma).float(), torch.full((16, 1), 99.0))
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("scale", [1 / 1023, 1 / 1023**2, 1 / 65535])
def test_a_scale_of_another_bit_depth_is_refused(blockset_8: Path, tmp_path: Path, scale: float) -> None:
    path = old_file("2", tmp_path / "old.pt")
    with pytest.raises(ToolkitError, match=r"is that of 1[06] bit .* the data have 8"):
        import_checkpoint(path, tmp_path / "new.pt", BlockSet.load(blockset_8), "2", scale)
    assert not (tmp_path / "new.pt").exists()


def test_a_wrong_stage_lists_the_weights(blockset_10: Path, tmp_path: Path) -> None:
    path = old_file("2", tmp_path / "old.pt")
    with pytest.raises(ToolkitError, match="Wrong shape"):
        import_checkpoint(path, tmp_path / "new.pt", BlockSet.load(blockset_10), "3-ab", SCALE)
    assert not (tmp_path / "new.pt").exists()


def test_a_pickle_that_wants_more_is_refused_and_not_run(blockset_10: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (os.system, (f"touch {tmp_path / 'ran'}",))

    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps({"model_state_dict": Evil()}))
    with pytest.raises(ToolkitError, match="it was not run"):
        import_checkpoint(path, tmp_path / "new.pt", BlockSet.load(blockset_10), "2", SCALE)
    torch.save({"model_state_dict": {}, "extra": Evil()}, path)
    with pytest.raises(ToolkitError, match=r"\(unsupported GLOBAL posix.system\).* it was not run") as caught:
        import_checkpoint(path, tmp_path / "new.pt", BlockSet.load(blockset_10), "2", SCALE)
    assert "weights_only" not in caught.value.message  # torch's own advice is to switch the safety off
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("extra", "accepted"), [(np.array(["SPLIT", "AB"]), True), (np.array([{}, object]), False)])
def test_arrays_of_text_are_read_and_arrays_of_objects_are_not(
    blockset_10: Path, tmp_path: Path, extra: Any, accepted: bool
) -> None:
    path = old_file("2", tmp_path / "old.pt", val_metrics={"names": extra}, epoch=np.int64(7))
    if accepted:
        imported = import_checkpoint(path, tmp_path / "new.pt", BlockSet.load(blockset_10), "2", SCALE)
        assert imported.epoch == 7  # as a NumPy number too
        return
    with pytest.raises(ToolkitError, match="it was not run"):
        import_checkpoint(path, tmp_path / "new.pt", BlockSet.load(blockset_10), "2", SCALE)


def test_from_the_command_line(blockset_10: Path, tmp_path: Path) -> None:
    path = old_file("2", tmp_path / "old.pt")
    words = ["import-checkpoint", str(path), "--stage", "2", "--data", str(blockset_10), "-o", str(tmp_path / "n.pt")]
    missing = CliRunner().invoke(main, words)
    assert missing.exit_code == 2
    assert "--input-scale" in missing.output
    done = CliRunner().invoke(main, [*words, "--input-scale", "1/1023*1/1023"])
    assert done.exit_code == 0, done.output
    assert load_checkpoint(tmp_path / "n.pt").config.input_scale == SCALE
    assert "unknown" in done.output
