"""What training is given or meets and cannot use: one line that says what it is, exit 1, and nothing half-written."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from conftest import MakeBlockset
from PIL import Image
from support.pictures import CHELSEA

import toolkit.files
from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet
from toolkit.model.checkpoint import load_checkpoint, load_torch, save_torch
from toolkit.model.config import ModelConfig
from toolkit.training.config import TrainConfig
from toolkit.training.run_folder import RunFolder
from toolkit.training.train import train

SMALL = ["--backbone", "small", "--device", "cpu", "--limit-val", "64"]
RANDOM = [*SMALL, "--init", "random", "--limit-train", "128"]


def refused(*words: object) -> str:
    """What a command says that ends with exit code 1."""
    result = CliRunner().invoke(main, [str(w) for w in words])
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    return " ".join(result.output.split())


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


@pytest.fixture(scope="module")
def stage1(blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = RunFolder(tmp_path_factory.mktemp("stage1") / "run")
    config = TrainConfig(init="random", epochs=1, limit_train=64, limit_val=64, device="cpu")
    train(BlockSet.load(blockset_8), run, ModelConfig("1", "small"), config)
    return run.path


def edit(run: Path, **changes: Any) -> None:
    description = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(description | changes))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        # No machine of the tests has 64 GPUs, nor a Mac's beside them.
        (["--device", "cuda", "--devices", 64], "--device cuda --devices 64 --precision 32-true was asked for"),
        (["--device", "mps", "--devices", 64], "was asked for and this machine cannot do it"),
        (["--device", "cpu", "--devices", 0], "devices 0: expected at least 1"),
        (["--device", "auto", "--devices", -1], "devices -1: expected at least 1"),
        (["--lr", 0], "lr 0.0, lr-backbone 1e-06: expected a finite rate above 0"),
        (["--lr", "nan"], "lr nan"),
        (["--lr-backbone", "inf"], "lr-backbone inf"),
    ],
)
def test_a_device_or_rate_that_is_not_there(words: list[object], said: str, blockset_8: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert said in refused("train", blockset_8, "-o", run, "--backbone", "small", "--init", "random", *words)
    assert not run.exists()


def test_a_run_folder_of_another_version(run: Path, blockset_8: Path) -> None:
    edit(run, format_version=2)
    for words in (["select", run], ["train", blockset_8, "-o", run, "--resume"], ["evaluate", run, blockset_8]):
        assert "version 2, this av1part reads av1part-run version 1" in refused(*words)


def test_a_run_that_knows_an_option_that_we_do_not(run: Path, blockset_8: Path) -> None:
    edit(run, train=RunFolder(run).read()["train"] | {"warp": 9})
    assert "Training options ['warp'] are unknown" in refused("train", blockset_8, "-o", run, "--resume")


def test_a_run_from_before_an_option_is_resumed(run: Path, blockset_8: Path) -> None:
    options = RunFolder(run).read()["train"]
    edit(run, train={k: v for k, v in options.items() if k not in ("fused", "compile", "cache_gib")})
    words = ["train", str(blockset_8), "-o", str(run), "--resume"]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert "fused: True now, False then" in refused(*words, "--fused")


def test_a_run_without_its_parts(run: Path, blockset_8: Path) -> None:
    save_torch(run / "checkpoints" / "latest.pt", {"epoch": 3})
    assert "latest.pt: not the state of a run" in refused("train", blockset_8, "-o", run, "--resume")
    (run / "run.json").write_text(json.dumps({"kind": "av1part-run", "format_version": 1, "model": {}}))
    assert "run.json: without baselines, blocks, data, run, train" in refused("select", run)


def test_a_checkpoint_with_other_weights_lists_them(run: Path, blockset_8: Path, tmp_path: Path) -> None:
    path = RunFolder(run).epoch_path(3)
    values = load_torch(path)
    weights = values["model_state_dict"]
    weights["extra.weight"] = weights.pop("head.head.0.bias")
    weights["head.head.3.bias"] = weights["head.head.3.bias"][:1]
    save_torch(path, values)
    for words in (
        ["export", path, "-o", tmp_path / "bundle"],
        ["evaluate", path, blockset_8],
        ["train", blockset_8, "-o", run, "--resume", "--extend", "1", "--extend-lr", "1e-4"],
    ):
        said = refused(*words)
        assert "Missing: ['head.head.0.bias']. Unexpected: ['extra.weight']." in said
        assert "Wrong shape: ['head.head.3.bias: (1,), not (3,)']" in said


def test_a_stage_1_of_another_backbone(stage1: Path, blockset_8: Path, tmp_path: Path) -> None:
    words = ["--backbone", "resnet18-se", "--device", "cpu", "--init", "stage1", "--from", stage1]
    assert "backbone is small, this model's is resnet18-se" in refused(
        "train", blockset_8, "-o", tmp_path / "r", *words
    )
    assert not (tmp_path / "r").exists()


def test_a_class_that_is_not_in_the_training_split(make_blockset: MakeBlockset, tmp_path: Path) -> None:
    data = make_blockset(tmp_path / "data", partitions=(0, 1, 2, 3))
    said = refused("train", data, "-o", tmp_path / "run", *RANDOM)
    assert "no block of AB among the 128 training blocks" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_blocks(split: str, make_blockset: MakeBlockset, tmp_path: Path) -> None:
    splits = {s: 1 for s in ("train", "val", "test") if s != split}
    data = make_blockset(tmp_path / "data", splits=splits)
    assert f"the {split} split has no block for stage 2" in refused("train", data, "-o", tmp_path / "run", *RANDOM)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_a_number_leaves_the_epochs_before_it(
    stage1: Path, blockset_8: Path, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    words = [*SMALL, "--init", "stage1", "--from", stage1, "--epochs", "3", "--freeze-epochs", "1", "--lr", "3e-3"]
    said = refused("train", blockset_8, "-o", run.path, *words, "--batch-size", "32", "--lr-backbone", "1e30")
    assert "The loss is nan in epoch 2, batch 2 of" in said or "The loss is inf in epoch 2, batch 2 of" in said
    assert "1 finished epochs are kept" in said
    assert [e["epoch"] for e in run.history()] == [1]
    assert all(bool(torch.isfinite(v).all()) for v in load_checkpoint(run.epoch_path(1)).model.state_dict().values())
    assert not run.epoch_path(2).exists()
    assert load_checkpoint(run.artefact("model_best.pt")).epoch == 1


class Disk:
    """A file system of a few MB, which can be made larger."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def resize(self, size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.path)], check=True, capture_output=True)

    def hidden(self) -> list[str]:
        return [p.name for p in self.path.rglob(".*")]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(path)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("not run: a small file system can be mounted only by root")
    yield Disk(path)
    subprocess.run(["umount", str(path)], check=True, capture_output=True)


def test_a_full_disk_keeps_what_is_finished_and_resuming_goes_on(disk: Disk, blockset_8: Path, tmp_path: Path) -> None:
    words = [*RANDOM, "--epochs", "4", "--batch-size", "64"]
    whole = RunFolder(tmp_path / "whole")
    assert CliRunner().invoke(main, ["train", str(blockset_8), "-o", str(whole.path), *words]).exit_code == 0
    bytes_of_two = sum(p.stat().st_size for p in whole.path.rglob("*epoch-00[12].pt"))
    disk.resize(str(bytes_of_two * 2 + (whole.path / "checkpoints" / "latest.pt").stat().st_size))
    run = RunFolder(disk.path / "run")
    said = refused("train", blockset_8, "-o", run.path, *words)
    assert "the disk is full. Nothing was changed there. Free some space" in said
    done = [e["epoch"] for e in run.history()]
    assert 1 <= len(done) < 4
    assert all(load_checkpoint(run.epoch_path(epoch)).epoch == epoch for epoch in done)
    assert disk.hidden() == []
    disk.resize("64m")
    assert CliRunner().invoke(main, ["train", str(blockset_8), "-o", str(run.path), *words, "--resume"]).exit_code == 0
    same(whole, run)


@pytest.fixture(scope="module")
def whole(blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = RunFolder(tmp_path_factory.mktemp("whole") / "run")
    words = ["train", str(blockset_8), *RANDOM, "--epochs", "2", "--batch-size", "64", "-o", str(run.path)]
    assert CliRunner().invoke(main, words).exit_code == 0
    return run


@pytest.mark.parametrize(
    "entry", [{"data": {}}, {"train": {}}, {"init": None}, {"model": {"stage": []}}, {"extensions": [{}]}, {"train": 7}]
)
def test_a_run_json_without_its_entries(run: Path, blockset_8: Path, entry: dict[str, Any]) -> None:
    edit(run, **entry)
    for words in (
        ["select", run],
        ["compare", run, run, "-o", run / "c"],
        ["train", blockset_8, "-o", run, "--resume"],
    ):
        assert "expected" in refused(*words)


@pytest.mark.parametrize("name", ["run.json", "epoch-002.pt", "latest.pt", "model_best.pt", "history.pt", "final.pt"])
def test_whatever_the_last_write_was_resuming_completes_the_run(
    name: str, whole: RunFolder, blockset_8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", str(blockset_8), *RANDOM, "--epochs", "2", "--batch-size", "64", "-o"]
    cut = RunFolder(tmp_path / "cut")
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target.name.endswith(name) and (name != "latest.pt" or target.exists()):
            raise OSError(28, "No space left on device")
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(toolkit.files.Path, "replace", full)
        assert "the disk is full" in refused(*words, cut.path)
    assert [p.name for p in cut.path.rglob(".*")] == []
    again = [] if name == "run.json" else ["--resume"]
    result = CliRunner().invoke(main, [*words, str(cut.path), *again])
    assert result.exit_code == 0, result.output
    same(whole, cut)


def same(whole: RunFolder, other: RunFolder) -> None:
    files = [sorted(p.relative_to(r.path) for p in r.path.rglob("*") if p.is_file()) for r in (whole, other)]
    assert files[0] == files[1]
    for path in [*whole.path.rglob("epoch-*.pt"), *whole.path.glob("*model*.pt")]:
        one, two = load_checkpoint(path), load_checkpoint(other.path / path.relative_to(whole.path))
        assert one.epoch == two.epoch
        assert all(torch.equal(v, two.model.state_dict()[k]) for k, v in one.model.state_dict().items())
    histories = [[{k: v for k, v in e.items() if k != "seconds"} for e in r.history()] for r in (whole, other)]
    assert histories[0] == histories[1]
    assert len(load_torch(other.artefact("history.pt"))) == len(histories[0])


def test_export_to_a_full_disk(disk: Disk, trained: Path) -> None:
    words = ["export", str(trained), "--epoch", "3", "-o", str(disk.path / "bundle")]
    assert "the disk is full" in refused(*words)
    assert list(disk.path.iterdir()) == []
    disk.resize("16m")
    assert CliRunner().invoke(main, words).exit_code == 0


@pytest.mark.parametrize(("command", "jobs"), [("label", 1), ("label", 2), ("record", 1), ("record", 2)])
@pytest.mark.usefixtures("libaom")
def test_labelling_to_a_full_disk_names_the_output_and_goes_on_afterwards(
    command: str, jobs: int, disk: Disk, tmp_path: Path
) -> None:
    pictures, output = [tmp_path / "left.png", tmp_path / "right.png"], disk.path / "set"
    with Image.open(CHELSEA) as chelsea:
        for left, picture in zip((0, 11), pictures, strict=True):
            chelsea.crop((left, 0, left + 440, 280)).save(picture)
    words = [command, *map(str, pictures), "-o", str(output), "--cq", "50", "--cpu-used", "3", "--jobs", str(jobs)]
    words += ["--split", "train"]
    assert f"Error: {output}: the disk is full" in refused(*words)
    assert not output.exists()
    disk.resize("16m")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
