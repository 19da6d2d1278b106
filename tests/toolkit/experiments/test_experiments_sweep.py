"""Sweeps: what is planned, that Stage 1 is shared, that what is finished is left alone, and what a failure says."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from conftest import MakeBlockset
from support.cluster import dask

from toolkit.cli.main import main
from toolkit.errors import ToolkitError
from toolkit.experiments.sweep import Outcome, run_state, sweep, train_arguments
from toolkit.experiments.sweep_config import BACKENDS, SweepConfig, Variant, plan
from toolkit.model.checkpoint import save_torch
from toolkit.training.run_folder import RunFolder

QUICK = ["--backbone", "small", "--epochs", "2", "--device", "cpu", "--batch-size", "64"]


def recipes(*names: str) -> tuple[Variant, ...]:
    return tuple(Variant(name) for name in names)


def run_sweep(data: Path, folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["sweep", str(data), "-o", str(folder), *arguments])


def test_recipes_times_seeds_share_their_stage_1() -> None:
    jobs = plan(
        SweepConfig(recipes("ulmfit", "stage1-frozen", "scratch"), seeds=2, options={"backbone": "small", "lr": 0.1})
    )
    assert [job.name for job in jobs] == [
        "stage1-small-seed42",
        "stage1-small-seed43",
        *(f"{recipe}-seed{seed}" for recipe in ("ulmfit", "stage1-frozen", "scratch") for seed in (42, 43)),
    ]
    by_name = {job.name: job for job in jobs}
    assert by_name["ulmfit-seed43"].after == by_name["stage1-frozen-seed43"].after == "stage1-small-seed43"
    assert by_name["scratch-seed42"].after is None
    assert all(job.options["lr"] == 0.1 and job.options["seed"] in (42, 43) for job in jobs)
    assert by_name["stage1-small-seed42"].options["recipe"] == "scratch"


def test_inits_multiply_and_adapters_stay_out_of_stage_1() -> None:
    options = {"backbone": "resnet18-se", "adapter": "series"}
    jobs = {job.name: job for job in plan(SweepConfig(recipes("ulmfit"), ("stage1", "random"), 1, options=options))}
    assert set(jobs) == {"stage1-resnet18-se-seed42", "ulmfit-from-stage1-seed42", "ulmfit-from-random-seed42"}
    assert jobs["ulmfit-from-random-seed42"].after is None
    stage1 = jobs["stage1-resnet18-se-seed42"].options
    assert (stage1["recipe"], stage1["stage"], "adapter" in stage1) == ("imagenet", "1", False)


def test_a_given_stage_1_is_trained_by_nobody() -> None:
    (job,) = plan(SweepConfig(recipes("ulmfit"), seeds=1, stage1=Path("there")))
    assert job.options["start"] == Path("there")
    assert train_arguments(job.options)[-2:] == ["--from", "there"]
    assert train_arguments({"qindex": False, "lr_backbone": 1e-6, "limit_val": None}) == [
        "--no-qindex", "--lr-backbone", "1e-06",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipes": recipes("magic")}, "recipes magic: expected some of"),
        ({"recipes": recipes("ulmfit"), "inits": ("magic",)}, "inits magic: expected some of"),
        ({"recipes": ()}, "expected at least one of each"),
        ({"recipes": recipes("scratch"), "options": {"seed": 3}}, "The sweep itself sets seed"),
        ({"recipes": (Variant("scratch", {"init": "imagenet"}),)}, "The sweep itself sets init"),
    ],
)
def test_senseless_sweeps_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ToolkitError, match=message):
        SweepConfig(**options)


def test_arms_of_one_recipe_and_arms_that_come_out_the_same() -> None:
    arms = (Variant("ulmfit", {"freeze_epochs": 1}), Variant("ulmfit", {"qindex": True, "backbone": "small"}))
    jobs = {job.name: job for job in plan(SweepConfig(arms, seeds=1, options={"freeze_epochs": 2}))}
    assert jobs["ulmfit+freeze-epochs=1-seed42"].options["freeze_epochs"] == 1
    other = jobs["ulmfit+qindex=True+backbone=small-seed42"]
    assert (other.options["freeze_epochs"], other.after) == (2, "stage1-small-seed42")
    same = recipes("ulmfit", "stage1-frozen")  # they differ in freeze_epochs alone
    assert len(plan(SweepConfig(same, seeds=1))) == 3
    with pytest.raises(ToolkitError, match="ulmfit and stage1-frozen come out the same"):
        plan(SweepConfig(same, options={"freeze_epochs": 2}))
    with pytest.raises(ToolkitError, match="come out the same"):
        plan(SweepConfig(recipes("scratch", "scratch")))


def test_stage_1_is_not_swept_from_stage_1() -> None:
    with pytest.raises(ToolkitError, match="starts from a trained Stage 1"):
        plan(SweepConfig(recipes("ulmfit"), stage="1"))


def test_bad_train_options_are_usage_errors(tmp_path: Path) -> None:
    wrong = run_sweep(tmp_path, tmp_path / "out", "--recipes", "scratch", "--", "--epochz", "3")
    assert wrong.exit_code == 2
    assert "--epochz" in wrong.output
    inside = run_sweep(tmp_path, tmp_path / "out", "--recipes", "ulmfit:freeze-epochs=some")
    assert inside.exit_code == 2
    assert "'some' is not a valid integer" in inside.output
    owned = run_sweep(tmp_path, tmp_path / "out", "--recipes", "scratch", "--", "-o", "elsewhere")
    assert owned.exit_code == 1
    assert "sets run of each run" in owned.output


def test_a_sweep_ends_in_a_report_and_goes_on_where_it_was_cut(blockset_8: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    command = ("--recipes", "ulmfit:freeze-epochs=1", "--seeds", "1", "--", *QUICK)
    first = run_sweep(blockset_8, folder, *command)
    assert first.exit_code == 0, first.output
    assert {p.name for p in folder.glob("*-seed*")} == {"stage1-small-seed42", "ulmfit+freeze-epochs=1-seed42"}
    assert "ulmfit+freeze-epochs=1-seed42 is first" in (folder / "report.md").read_text()
    assert (folder / "report.html").is_file()
    stage1 = RunFolder(folder / "stage1-small-seed42")
    init = json.loads((folder / "ulmfit+freeze-epochs=1-seed42" / "run.json").read_text())["init"]
    assert init["trained_on"] == stage1.read()["train_sources"]

    # The run is cut down to its first epoch, as if killed; what it started from must not be touched.
    cut = RunFolder(folder / "ulmfit+freeze-epochs=1-seed42")
    latest = cut.latest()
    kept = {path: path.stat().st_mtime_ns for path in stage1.path.rglob("*.pt")}
    save_torch(cut.path / "checkpoints" / "latest.pt", latest | {"epoch": 1, "history": latest["history"][:1]})
    assert run_state(cut.path) == "interrupted"
    again = run_sweep(blockset_8, folder, *command)
    assert again.exit_code == 0, again.output
    assert "ulmfit+freeze-epochs=1-seed42: resumed" in again.output
    assert "stage1-small-seed42: is finished" in again.output
    assert run_state(cut.path) == "finished"
    assert len(cut.history()) == 2
    assert {path: path.stat().st_mtime_ns for path in kept} == kept

    other = run_sweep(blockset_8, folder, *command, "--lr", "0.1")
    assert other.exit_code == 1
    assert "holds a sweep of another kind" in other.output


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_failure_is_named_through_every_backend(blockset_8: Path, tmp_path: Path, backend: str) -> None:
    # The small backbone has no ImageNet weights.
    options = {"backbone": "small", "epochs": 1}
    config = SweepConfig(recipes("ulmfit"), seeds=1, options=options, stage1_recipe="imagenet", jobs=2, backend=backend)
    finished, failed = sweep(blockset_8, tmp_path / "sweep", config)
    assert finished == []
    assert "no ImageNet weights for backbone 'small'" in failed[0].failure
    assert failed[1] == Outcome("ulmfit-seed42", "its Stage 1 (stage1-small-seed42) failed")


def test_a_backend_that_is_not_tested_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="backend ray: expected some of threading, loky"):
        SweepConfig(recipes("scratch"), backend="ray")
    refused = run_sweep(tmp_path, tmp_path / "out", "--recipes", "scratch", "--backend", "dask")
    assert refused.exit_code == 2
    assert "'dask' is not one of 'threading', 'loky'" in refused.output


def test_another_data_set_is_refused(make_blockset: MakeBlockset, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    folder.mkdir()
    (folder / "sweep.json").write_text(json.dumps({"data": "0" * 64, "stage": "2", "stage1_recipe": None}))
    data = make_blockset(tmp_path / "data", splits={"train": 1, "val": 1})
    with pytest.raises(ToolkitError, match=r"another kind \(data: "):
        sweep(data, folder, SweepConfig(recipes("scratch")))


@pytest.mark.long
def test_runs_of_a_cluster_share_their_stage_1_and_are_finished_once(
    tmp_path: Path, make_blockset: MakeBlockset
) -> None:
    data, folder = make_blockset(tmp_path / "data", splits={"train": 1, "val": 1}), tmp_path / "runs"
    words = ("--recipes", "ulmfit", "--seeds", "1", "--", *QUICK)
    with dask(tmp_path / "dask", 1) as own:
        first = run_sweep(data, folder, "--scheduler", own.address, *words)
        again = run_sweep(data, folder, "--scheduler", own.address, *words)
        gpus = run_sweep(data, folder, "--scheduler", own.address, "--gpus", "0", *words)
    assert first.exit_code == 0, first.output
    assert again.exit_code == 0, again.output
    assert gpus.exit_code == 2
    for name in ("stage1-small-seed42", "ulmfit-seed42"):
        assert run_state(folder / name) == "finished"
        assert f"{name}: finished (1 workers)" in first.output
        assert f"{name}: finished" not in again.output
