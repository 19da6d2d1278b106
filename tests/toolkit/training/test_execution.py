"""Options of how a network is run: the files that they leave are the ordinary ones, and are proven like any other."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet
from toolkit.model.checkpoint import load_checkpoint, load_torch
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet
from toolkit.training.config import TrainConfig
from toolkit.training.execution import FeatureCache, start_fabric
from toolkit.training.run_folder import RunFolder
from toolkit.training.train import train

FAST: dict[str, Any] = {"init": "random", "epochs": 2, "batch_size": 64, "device": "cpu", "lr": 2e-3}
TOGETHER: dict[str, Any] = {"channels_last": True, "fused": True, "precision": "bf16-mixed"}


def run_once(data: BlockSet, path: Path, **changes: Any) -> RunFolder:
    run = RunFolder(path)
    train(data, run, ModelConfig("2", "small", bit_depth=data.bit_depth), TrainConfig(**FAST | changes))
    return run


def weights(run: RunFolder, epoch: int) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = load_torch(run.epoch_path(epoch))["model_state_dict"]
    return state


def test_a_machine_with_slurm_trains_as_others_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert start_fabric(TrainConfig(**FAST)).world_size == 1


@pytest.mark.numeric
def test_layout_and_fusion_change_the_rounding_and_no_file(data: BlockSet, tmp_path: Path) -> None:
    small = {
        "epochs": 1,
        "limit_train": 256,
        "lr": 1e-30,
    }  # weights that stand still: a step would amplify the rounding
    plain = run_once(data, tmp_path / "plain", **small)
    other = run_once(data, tmp_path / "other", channels_last=True, fused=True, **small)
    one, two = ([(k, v.dtype, v.shape, v.stride()) for k, v in weights(run, 1).items()] for run in (plain, other))
    assert one == two
    for key in ("loss", "val_loss"):
        assert other.history()[0][key] == pytest.approx(plain.history()[0][key], rel=1e-4)


def test_every_option_together_resumes_bit_for_bit(data: BlockSet, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(entry: dict[str, Any]) -> None:
        raise Stop

    model, config = ModelConfig("2", "small"), TrainConfig(**FAST | TOGETHER)
    whole, cut = run_once(data, tmp_path / "whole", **TOGETHER), RunFolder(tmp_path / "cut")
    with pytest.raises(Stop):
        train(data, cut, model, config, on_epoch=stop)
    train(data, cut, model, config, resume=True)
    assert all(torch.equal(v, weights(cut, 2)[k]) for k, v in weights(whole, 2).items())
    assert all(v.dtype in (torch.float32, torch.int64) for v in weights(whole, 2).values())


@pytest.mark.long
def test_a_bf16_run_is_exported_and_proven(blockset_8: Path, tmp_path: Path) -> None:
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    words = ["--backbone", "small", "--init", "random", "--device", "cpu", "--epochs", "4", "--lr", "3e-3"]
    words += ["--batch-size", "32", "--limit-train", "512", "--channels-last", "--fused"]
    command = [sys.executable, "-m", "toolkit.cli.main", "train", str(blockset_8), "-o", str(run), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, "--precision", "bf16-mixed"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    model = PartitionNet(ModelConfig("2", "small"))
    assert list(weights(RunFolder(run), 4)) == list(model.state_dict())
    for words in (["export", str(run), "-o", str(bundle)], ["parity", str(bundle), str(blockset_8), "--limit", "60"]):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
    assert load_checkpoint(bundle / "checkpoint.pt").provenance["train"]["precision"] == "bf16-mixed"


@pytest.mark.numeric
@pytest.mark.parametrize("fitting", [0, 3, 8])
def test_views_that_do_not_fit_the_cache_are_computed(data: BlockSet, fitting: int) -> None:
    torch.manual_seed(0)
    model = PartitionNet(ModelConfig("2", "small")).eval()
    luma = torch.from_numpy(data.split_blocks("train", "2", 40).luma)
    room = fitting * len(luma) * model.features_out * 4 / 2**30
    cache, whole = FeatureCache(model, luma, "dihedral", room), FeatureCache(model, luma, "dihedral", 1.0)
    assert cache.views == fitting
    index, view = torch.arange(40).flip(0), torch.arange(40) % 8
    assert torch.allclose(cache(index, view), whole(index, view), atol=1e-5)
    assert not cache(index, view).requires_grad
