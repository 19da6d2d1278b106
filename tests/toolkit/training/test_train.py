"""Training: what moves when, that a seed decides everything, and that a killed run ends as if it had not been."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import MakeBlockset
from support.commands import cli, done
from support.training import FAST, measured, moved, run_once, weights

from toolkit.cli.main import main
from toolkit.commands.train import _left_out
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import sha256_file
from toolkit.model.checkpoint import load_checkpoint, load_torch, save_checkpoint, save_torch
from toolkit.model.config import ModelConfig
from toolkit.model.provenance import is_known
from toolkit.processes import worker_pool
from toolkit.sealed import CONFIG
from toolkit.training import selection
from toolkit.training.config import TrainConfig
from toolkit.training.run_folder import Epoch, RunFolder, recorded_best
from toolkit.training.selection import reevaluated_best, select_epoch
from toolkit.training.train import train

pytestmark = pytest.mark.usefixtures("evaluated_here")


@pytest.fixture(scope="module")
def stage1(data: BlockSet, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run_once(data, tmp_path_factory.mktemp("runs") / "stage1", "1")


@pytest.fixture(scope="module")
def stage2(data: BlockSet, stage1: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    path = tmp_path_factory.mktemp("runs") / "stage2"
    return run_once(data, path, start=stage1.path, init="stage1", epochs=4, freeze_epochs=2, lr_backbone=1e-3)


@pytest.mark.numeric
def test_only_the_head_moves_while_frozen_and_batch_norm_never(stage1: RunFolder, stage2: RunFolder) -> None:
    start = load_checkpoint(stage1.artefact("model_best.pt")).model.backbone.state_dict()
    frozen = {k.removeprefix("backbone."): v for k, v in weights(stage2, 2).items() if k.startswith("backbone.")}
    assert moved(start, frozen) == set()
    changed = moved(weights(stage2, 2), weights(stage2, 4))
    parameters = {name for name, _ in load_checkpoint(stage2.epoch_path(4)).model.named_parameters()}
    assert changed == parameters  # every weight, and no running statistic


def test_batch_norm_can_be_let_go(data: BlockSet, stage1: RunFolder, tmp_path: Path) -> None:
    options = {"init": "stage1", "epochs": 2, "freeze_epochs": 1, "batch_norm": "train"}
    run = run_once(data, tmp_path / "run", start=stage1.path, **options)
    assert any("running_mean" in k for k in moved(weights(run, 1), weights(run, 2)))


def test_rates_are_the_field_s_schedule(stage2: RunFolder) -> None:
    history = stage2.history()
    assert [e["phase"] for e in history] == ["frozen", "frozen", "unfrozen", "unfrozen"]
    assert [e["lr"] for e in history] == pytest.approx([2e-3, 2e-3, 2e-3, 1e-3])
    assert [e["lr_backbone"] for e in history] == pytest.approx([0, 0, 1e-3, 5e-4])


@pytest.mark.numeric
def test_it_learns_and_every_artefact_is_there(stage2: RunFolder) -> None:
    best = max(stage2.history(), key=lambda e: e["macro_f1"])
    assert best["macro_f1"] > stage2.read()["baselines"]["best_constant"]["macro_f1"] + 0.2
    for name in ("model_best.pt", "model_final.pt"):
        assert load_checkpoint(stage2.artefact(name)).stage == "2"
    assert len(load_torch(stage2.artefact("history.pt"))) == 4
    metrics = json.loads(stage2.artefact("metrics.json").read_text())
    assert {"epoch", "macro_f1", "split_f1", "rect_f1", "ab_f1", "accuracy"} <= set(metrics["best"])
    assert metrics["best"]["epoch"] == best["epoch"]


@pytest.mark.numeric
def test_a_seed_decides_every_bit(data: BlockSet, tmp_path: Path) -> None:
    first, second = (run_once(data, tmp_path / name, epochs=2) for name in ("a", "b"))
    other = run_once(data, tmp_path / "c", epochs=2, seed=7)
    assert moved(weights(first, 2), weights(second, 2)) == set()
    assert measured(first) == measured(second)
    assert moved(weights(first, 2), weights(other, 2)) != set()


def test_killed_and_resumed_is_as_if_never_killed(data: BlockSet, tmp_path: Path) -> None:
    words = ["train", str(data.path), "--stage", "2", "--backbone", "small", "--init", "random", "--epochs", "6"]
    words += ["--batch-size", "16", "--device", "cpu"]
    whole, cut = RunFolder(tmp_path / "whole" / "run"), RunFolder(tmp_path / "cut" / "run")
    done(*words, "-o", whole.path)
    command = [sys.executable, "-m", "toolkit.cli.main", *words, "-o", str(cut.path)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not cut.epoch_path(2).is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 1 <= len(cut.history()) < 6
    done(*words, "-o", cut.path, "--resume")
    assert moved(weights(whole, 6), weights(cut, 6)) == set()
    assert measured(whole) == measured(cut)
    assert files(whole) == files(cut)


def test_a_run_is_resumed_by_one_process_at_a_time(data: BlockSet, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    words = ["train", str(data.path), "-o", str(run.path)]
    options = ["--backbone", "small", "--init", "random", "--epochs", "500", "--batch-size", "16", "--device", "cpu"]
    command = [sys.executable, "-m", "toolkit.cli.main", *words, *options]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not run.epoch_path(1).is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    try:
        before = {p.name: p.stat().st_mtime_ns for p in run.path.rglob("*")}
        second = cli(*words, "--resume")
        assert second.exit_code == 1
        assert isinstance(second.exception, SystemExit), second.exception
        assert [line for line in second.stderr.splitlines() if "Error" in line] == [
            f"Error: {run.path}: another process is training this run. Wait for it, or end it."
        ]
        assert {p.name: p.stat().st_mtime_ns for p in run.path.rglob("*")} == before
    finally:
        process.kill()
        process.wait()


def files(run: RunFolder) -> dict[str, str]:
    """Hash of every file of a run, by its name.

    But for the two that hold the seconds that an epoch took, and the settings, which are kept when a command ends.
    """
    found = (p for p in run.path.rglob("*") if p.is_file() and p.name[0] != ".")
    others = ("latest.pt", "stage2_history.pt", CONFIG)
    return {str(p.relative_to(run.path)): sha256_file(p) for p in found if p.name not in others}


def test_a_run_killed_after_any_epoch_ends_with_the_same_bytes(
    data: BlockSet, stage1: RunFolder, tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    model = ModelConfig("2", "small")
    config = TrainConfig(**FAST | {"init": "stage1", "epochs": 3, "freeze_epochs": 1, "auxiliary": 0.5})
    whole = RunFolder(tmp_path / "whole" / "run")
    train(data, whole, model, config, start=stage1.path)
    assert {f"checkpoints/epoch-00{n}.pt" for n in (1, 2, 3)} | {"stage2_model_final.pt", "run.json"} <= set(
        files(whole)
    )
    for last in range(4):  # 0: in the first epoch; 3: after the last, before the final copies

        def kill(what: str, done: int, total: int, last: int = last) -> None:
            if last == 0 and done:
                raise Killed

        def end(entry: Epoch, last: int = last) -> None:
            if entry["epoch"] == last:
                raise Killed

        cut = RunFolder(tmp_path / f"cut-{last}" / "run")
        with pytest.raises(Killed):
            train(data, cut, model, config, start=stage1.path, on_step=kill, on_epoch=end)
        train(data, cut, model, config, resume=True)
        assert files(cut) == files(whole)
        assert measured(cut) == measured(whole)


def test_killed_in_the_first_epoch_and_resumed(data: BlockSet, stage1: RunFolder, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(what: str, done: int, total: int) -> None:
        raise Killed

    config = TrainConfig(**FAST | {"init": "stage1", "epochs": 1, "freeze_epochs": 1})
    model, cut = ModelConfig("2", "small"), RunFolder(tmp_path / "cut")
    with pytest.raises(Killed):
        train(data, cut, model, config, start=stage1.path, on_step=kill)
    train(data, cut, model, config, resume=True)
    whole = RunFolder(tmp_path / "whole")
    train(data, whole, model, config, start=stage1.path)
    assert moved(weights(whole, 1), weights(cut, 1)) == set()


def test_a_last_batch_of_one_block_does_not_stop_batch_norm(data: BlockSet, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    config = TrainConfig(**FAST | {"epochs": 1, "batch_size": 32, "limit_train": 65, "limit_val": 64})
    train(data, run, ModelConfig("2", "resnet18-se"), config)
    assert len(run.history()) == 1


def test_every_seed_is_measured_on_the_same_blocks(data: BlockSet, tmp_path: Path) -> None:
    supports = []
    for seed in (1, 2):
        run = run_once(data, tmp_path / str(seed), epochs=1, limit_train=64, limit_val=30, seed=seed)
        calibration = load_checkpoint(run.epoch_path(1)).calibration
        supports.append(calibration.luma.tobytes())
    assert supports[0] == supports[1]


def test_resume_refuses_other_options(data: BlockSet, stage2: RunFolder) -> None:
    result = CliRunner().invoke(main, ["train", str(data.path), "-o", str(stage2.path), "--resume", "--epochs", "9"])
    assert result.exit_code == 1
    assert "epochs: 9 now, 4 then" in result.output


def test_resume_refuses_another_start(data: BlockSet, stage2: RunFolder, tmp_path: Path) -> None:
    words = ["train", str(data.path), "-o", str(stage2.path), "--resume", "--from", str(tmp_path / "other.pt")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "was started with another start" in result.output


def test_resume_refuses_other_data(stage2: RunFolder, make_blockset: MakeBlockset, tmp_path: Path) -> None:
    other = make_blockset(tmp_path / "other", seed=5)
    result = CliRunner().invoke(main, ["train", str(other), "-o", str(stage2.path), "--resume"])
    assert result.exit_code == 1
    assert "not the data set that" in result.output


def test_a_run_is_not_overwritten(data: BlockSet, stage2: RunFolder) -> None:
    with pytest.raises(ToolkitError, match="not empty"):
        run_once(data, stage2.path)


def test_stage1_init_refuses_what_is_not_stage_1(data: BlockSet, stage2: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="checkpoint of stage 2"):
        run_once(data, tmp_path / "run", start=stage2.path, init="stage1", freeze_epochs=1)
    with pytest.raises(ToolkitError, match="--from RUN_OR_CKPT is needed"):
        run_once(data, tmp_path / "run", init="stage1", freeze_epochs=1)


def test_stage1_trained_on_our_test_source_is_refused(
    data: BlockSet, stage1: RunFolder, tmp_path: Path, make_blockset: MakeBlockset
) -> None:
    swapped = BlockSet.load(make_blockset(tmp_path / "swapped", splits={"val": 3, "train": 2, "test": 2}))
    with pytest.raises(ToolkitError, match="holds back"):
        run_once(swapped, tmp_path / "run", start=stage1.path, init="stage1", freeze_epochs=1)


def test_what_starts_from_an_imported_stage_1_is_of_unknown_sources_too(
    data: BlockSet, stage1: RunFolder, tmp_path: Path
) -> None:
    own = load_checkpoint(stage1.artefact("model_best.pt"))
    imported = {**own.provenance, "train_sources": [], "train_sources_known": False}
    save_checkpoint(tmp_path / "imported.pt", replace(own, provenance=imported))
    for name, start, known in (("a", stage1.path, True), ("b", tmp_path / "imported.pt", False)):
        run = run_once(data, tmp_path / name, start=start, init="stage1", epochs=1)
        assert is_known(load_checkpoint(run.artefact("model_best.pt")).provenance) == known


def test_a_loss_that_is_not_a_number_stops_and_keeps_what_was(data: BlockSet, tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match=r"The loss is (nan|inf) in epoch"):
        run_once(data, tmp_path / "run", lr=1e30, epochs=4)


@pytest.mark.numeric
def test_select_takes_the_earlier_of_two_equal_and_leaves_nan_out(
    stage2: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(shutil.copytree(stage2.path, tmp_path / "run"))
    with monkeypatch.context() as patch:
        patch.setattr(selection, "worker_pool", worker_pool)  # in a process of its own, as a command does
        chosen = select_epoch(run.path)
    best = max(run.history(), key=lambda e: e["macro_f1"])
    assert chosen.epoch == best["epoch"]
    assert chosen.metrics["macro_f1"] == pytest.approx(best["macro_f1"], abs=1e-9)
    latest = run.latest()
    history = latest["history"]
    for entry in history:
        if entry["epoch"] == best["epoch"]:
            continue
        entry["macro_f1"] = float("nan") if entry["epoch"] == 1 else best["macro_f1"] if entry["epoch"] == 4 else 0.1
    save_torch(run.path / "checkpoints" / "latest.pt", latest)
    again = select_epoch(run.path)
    assert again.nan == [e["epoch"] for e in history if e["macro_f1"] != e["macro_f1"]]
    assert again.epoch == min([best["epoch"], *again.ties])


def test_select_says_where_the_data_set_was_and_how_to_name_its_place(stage2: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(stage2.path, tmp_path / "run"))
    description: dict[str, Any] = json.loads((run.path / "run.json").read_text())
    description["data"]["path"] = str(tmp_path / "gone")
    (run.path / "run.json").write_text(json.dumps(description))
    with pytest.raises(ToolkitError, match=r"its data set is no longer at .*gone\. Name its place with --data"):
        select_epoch(run.path)


@pytest.mark.numeric
def test_select_notices_weights_of_another_epoch(stage2: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(stage2.path, tmp_path / "run"))
    best, worst = (f(run.history(), key=lambda e: e["macro_f1"])["epoch"] for f in (max, min))
    shutil.copy(run.epoch_path(worst), run.epoch_path(best))
    with pytest.raises(ToolkitError, match="not the one that was measured"):
        select_epoch(run.path)
    assert load_checkpoint(recorded_best(run)).epoch == best  # the copy that the run made at the time, not scored again
    with pytest.raises(ToolkitError, match="not the one that was measured"):
        reevaluated_best(run)


def test_select_names_collapsed_epochs() -> None:
    from toolkit.training.selection import collapsed

    assert collapsed({"confusion": [[0, 5, 0], [0, 7, 0], [0, 1, 0]]})
    assert not collapsed({"confusion": [[1, 5, 0], [0, 7, 0], [0, 1, 0]]})


def test_checkpoints_run_no_code(tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> Any:
            return (os.system, ("touch " + str(tmp_path / "ran"),))

    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ToolkitError, match="it was not run"):
        load_checkpoint(path)
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_with_other_names_lists_them(stage2: RunFolder, tmp_path: Path) -> None:
    values = load_torch(stage2.epoch_path(1))
    values["model_state_dict"]["extra.weight"] = values["model_state_dict"].pop("head.head.0.bias")
    save_torch(tmp_path / "bad.pt", values)
    with pytest.raises(ToolkitError, match=r"Missing: \['head.head.0.bias'\]. Unexpected: \['extra.weight'\]"):
        load_checkpoint(tmp_path / "bad.pt")


def test_select_from_the_command_line(stage2: RunFolder) -> None:
    readable = CliRunner().invoke(main, ["select", str(stage2.path)])
    assert readable.exit_code == 0, readable.output
    best = max(stage2.history(), key=lambda e: e["macro_f1"])
    for words in (f"Best epoch: {best['epoch']} ", "evaluated again from the file", "beats the best constant", "AB "):
        assert words in readable.output
    machine = CliRunner().invoke(main, ["select", str(stage2.path), "--json"])
    values = json.loads(machine.stdout)
    assert values["epoch"] == best["epoch"]
    assert {"macro_f1", "split_f1", "rect_f1", "ab_f1", "accuracy", "baseline_macro_f1"} <= set(values)


def test_select_refuses_a_metric_that_there_is_not(stage2: RunFolder) -> None:
    result = CliRunner().invoke(main, ["select", str(stage2.path), "--metric", "f2"])
    assert result.exit_code == 1
    assert "expected one of macro_f1, accuracy" in result.output


def test_it_says_which_decided_nodes_no_class_of_the_stage_holds(data: BlockSet) -> None:
    split = data.blocks[[data.sources[b["source"]]["split"] == "train" for b in data.blocks]]
    four_way = [int((split["partition"] == k).sum()) for k in (8, 9)]
    assert min(four_way) > 0
    said = _left_out(data, "2")
    assert said.startswith("In no class of Stage 2, and left out of the training split: ")
    assert said.endswith(f"{four_way[0]:,} HORZ_4, {four_way[1]:,} VERT_4.")
    assert _left_out(data, "1") == "", "Stage 1 takes every decided node"


@pytest.mark.parametrize(
    ("backbone", "init"), [("small", "random, as there are no"), ("efficientnet-lite0", "imagenet")]
)
def test_without_an_init_it_takes_what_is_on_this_machine_and_says_so(
    blockset_8: Path, tmp_path: Path, backbone: str, init: str
) -> None:
    words = ["train", blockset_8, "-o", tmp_path / "run", "--backbone", backbone, "--epochs", 1, "--limit-train", 99]
    run = done(*words)
    assert f"Init: {init}" in run.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["train"]["init"] == init.partition(",")[0]
    assert "Init:" not in done(*words, "--resume", "--extend", 1, "--extend-lr", 1e-4).stderr
