"""Learning from a teacher: its answers, how they turn with a block, what is recorded of it, and who may not teach."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from support.commands import done
from support.sealed import edit_manifest
from support.training import FAST, measured, moved, weights

from export.bundle.bundle import Bundle
from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet
from toolkit.data.write import Source, make_records, write_blockset
from toolkit.errors import ToolkitError
from toolkit.experiments.run_summary import RunSummary
from toolkit.experiments.sweep_config import SweepConfig, Variant, plan
from toolkit.model.augment import turn_each
from toolkit.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet, predict
from toolkit.model.provenance import is_known, trained_on
from toolkit.partition import HORZ, HORZ_A, SPLIT, STAGES
from toolkit.training.config import Extension, TrainConfig
from toolkit.training.data import plan_epoch, training_blocks
from toolkit.training.ensemble_build import make_ensemble
from toolkit.training.losses import Objective, distillation, loss_of
from toolkit.training.run_folder import RunFolder
from toolkit.training.teacher import lessons, open_teacher
from toolkit.training.train import train

SMALL = ModelConfig("2", "small")


@pytest.fixture(scope="module")
def teacher(trained: Path, blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One network in all eight views: its answers turn with the block."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.pt"
    make_ensemble([trained], path, BlockSet.load(blockset_8), "dihedral")
    return path


def silent(what: str, done: int, total: int) -> None:
    """No progress."""


@pytest.mark.numeric
def test_the_loss_is_the_divergence_of_both_softened_answers() -> None:
    ours, theirs = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)), torch.tensor([[2.0, 0.0, -1.0]] * 5)
    p, q = (theirs / 3).softmax(1), (ours / 3).softmax(1)
    assert distillation(ours, theirs, 3.0) == pytest.approx(float(9 * (p * (p / q).log()).sum(1).mean()), rel=1e-5)
    assert distillation(theirs + 7, theirs, 2.0) == pytest.approx(0, abs=1e-6)


def test_a_teacher_is_asked_once_for_each_block_of_its_stage(data: BlockSet, teacher: Path) -> None:
    blocks = training_blocks(data, SMALL, TrainConfig(auxiliary=1.0))
    opened, _ = open_teacher(teacher, SMALL, data)
    seen: list[tuple[str, int, int]] = []
    answers = lessons(opened, blocks, lambda x: x, lambda *step: seen.append(step))
    own = blocks.target >= 0
    assert torch.equal(answers[own], predict(opened.model, blocks.luma[own], blocks.qindex[own]))
    assert (answers[~own] == 0).all()
    assert (~own).any()
    assert seen[-1] == ("teacher", own.sum(), own.sum())


def load_random(stage: str, data: BlockSet) -> Checkpoint:
    """A checkpoint of random weights and of no score."""
    blocks = data.split_blocks("val", stage, 20)
    torch.manual_seed(5)
    return Checkpoint(
        PartitionNet(ModelConfig(stage, "small")).eval(), 1, {"macro_f1": 0.0}, {}, data.sha256,
        data.manifest["encoder"], blocks, {"train_sources": []},
    )  # fmt: skip


@pytest.mark.numeric
@pytest.mark.parametrize("stage", list(STAGES))
def test_a_turned_block_is_taught_what_the_teacher_says_of_it(stage: str, data: BlockSet, tmp_path: Path) -> None:
    blocks = data.split_blocks("train", stage, 60)
    save_checkpoint(tmp_path / "one.pt", replace(load_random(stage, data), data_sha256="of another"))
    made = make_ensemble([tmp_path / "one.pt"], tmp_path / "views.pt", data, "dihedral")
    config = TrainConfig(augment="dihedral", distil_temperature=3.0)
    answers = lessons(made, blocks, lambda x: x, silent)
    objective = Objective(blocks, "DATA", ModelConfig(stage, "small"), config, lambda x: x)
    objective.answers = answers
    partition = torch.from_numpy(blocks.partition).long()
    epoch = plan_epoch(config, stage, partition, torch.Generator().manual_seed(1), 1)
    turned = turn_each(torch.from_numpy(blocks.luma)[epoch.index], epoch.view)
    logits = torch.randn(len(blocks), len(STAGES[stage].classes))
    said = predict(made.model, turned.numpy(), blocks.qindex[epoch.index.numpy()])
    expected = distillation(logits, said, 3.0)
    assert objective(logits, epoch, 0, len(blocks), 0, 1) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.numeric
def test_teacher_and_labels_share_the_loss(data: BlockSet) -> None:
    blocks = data.split_blocks("train", "2", 64)
    answers, logits = torch.randn(64, 3), torch.randn(64, 3)
    config = TrainConfig(distil=0.3, augment="none")
    epoch = plan_epoch(config, "2", torch.from_numpy(blocks.partition).long(), torch.Generator(), 1)
    of_labels = Objective(blocks, "DATA", SMALL, config, lambda x: x)
    both = Objective(blocks, "DATA", SMALL, config, lambda x: x)
    both.answers = answers
    labels = loss_of(of_labels.own, logits, epoch.target, None)
    expected = 0.7 * labels + 0.3 * distillation(logits, answers[epoch.index], 2.0)
    assert both(logits, epoch, 0, 64, 0, 1) == pytest.approx(float(expected), rel=1e-5)
    assert of_labels(logits, epoch, 0, 64, 0, 1) == pytest.approx(float(labels), rel=1e-5)


def pupil(data: BlockSet, path: Path, teacher: Path | None, **changes: Any) -> RunFolder:
    run = RunFolder(path)
    train(data, run, SMALL, TrainConfig(**FAST | {"augment": "dihedral"} | changes), teacher=teacher)
    return run


@pytest.fixture(scope="module")
def shades(tmp_path_factory: pytest.TempPathFactory) -> BlockSet:
    """Plain nodes, dark, grey or bright, whose class is their shade: a linear model tells them apart."""
    rng = np.random.default_rng(0)
    sources, records = [], []
    for number, name in enumerate(("train-a", "train-b", "val")):
        kind = rng.integers(0, 3, (4, 6, 8))
        luma = np.array([40, 128, 216])[kind].repeat(16, 1).repeat(16, 2) + rng.integers(-20, 21, (4, 96, 128))
        sha256, split = f"{number:064x}", name.partition("-")[0]
        sources.append(Source(name, split, sha256, luma.astype(np.uint8), licence="CC0-1.0", origin="a test"))
        frame, row, column = np.indices(kind.shape).reshape(3, -1)
        partition = np.array([SPLIT, HORZ, HORZ_A])[kind.ravel()]
        records.append(make_records(number, frame, row * 16, column * 16, 100, partition))
    path = tmp_path_factory.mktemp("shades") / "set"
    write_blockset(path, sources, np.concatenate(records), 8, {"name": "synthetic"})
    return BlockSet.load(path)


@pytest.mark.numeric
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_learns_from_the_teacher_and_not_from_the_labels(shades: BlockSet, seed: int, tmp_path: Path) -> None:
    """Where each shade has a class of its own, a teacher that names another for each is believed in nearly all."""
    options: dict[str, Any] = {"seed": seed, "epochs": 6, "augment": "none"}
    checkpoint = load_checkpoint(pupil(shades, tmp_path / "right", None, **options).epoch_path(6))
    last = checkpoint.model.get_submodule("head.last")
    with torch.no_grad():
        for tensor in (last.weight, last.bias):
            tensor.copy_(tensor.roll(1, 0))
    save_checkpoint(tmp_path / "contrary.pt", checkpoint)
    blocks = shades.split_blocks("val", "2")
    said = predict(checkpoint.model, blocks.luma, blocks.qindex).argmax(1)
    assert float((said.numpy() == blocks.target).mean()) < 0.1
    agreed = {}
    for share in (0.0, 1.0):
        run = pupil(shades, tmp_path / f"run{share}", tmp_path / "contrary.pt", distil=share, **options)
        found = predict(load_checkpoint(run.epoch_path(6)).model, blocks.luma, blocks.qindex).argmax(1)
        agreed[share] = float((found == said).float().mean())
    assert agreed[0.0] < 0.1, agreed
    assert agreed[1.0] > 0.9, agreed


def test_a_run_says_who_taught_it(data: BlockSet, teacher: Path, tmp_path: Path) -> None:
    taught, alone = pupil(data, tmp_path / "taught", teacher, epochs=1), pupil(data, tmp_path / "alone", None, epochs=1)
    record = load_checkpoint(taught.artefact("model_best.pt")).provenance["taught_by"]
    assert (record["name"], record["backbone"]) == ("teacher.pt", "ensemble of small in dihedral views")
    assert taught.read()["taught_by"] == record
    assert "taught_by" not in alone.read()
    settings = [RunSummary.read(run.path).settings for run in (taught, alone)]
    assert {k for k in settings[0] if settings[0][k] != settings[1].get(k)} == {"teacher"}


def test_what_the_teacher_has_seen_the_pupil_has(data: BlockSet, trained: Path, tmp_path: Path) -> None:
    wide = load_checkpoint(trained / "stage2_model_best.pt")
    elsewhere = "f" * 64
    sources = [*wide.provenance["train_sources"], elsewhere]
    changed = {**wide.provenance, "train_sources": sources, "train_sources_known": False}
    save_checkpoint(tmp_path / "wide.pt", replace(wide, provenance=changed))
    run = pupil(data, tmp_path / "run", tmp_path / "wide.pt", epochs=1)
    provenance = load_checkpoint(run.artefact("model_best.pt")).provenance
    assert elsewhere not in provenance["train_sources"]
    assert elsewhere in trained_on(provenance)
    assert not is_known(provenance)
    grandchild = pupil(data, tmp_path / "next", run.path, epochs=1)
    assert elsewhere in trained_on(load_checkpoint(grandchild.artefact("model_best.pt")).provenance)


def test_a_taught_model_is_exported_and_its_teacher_s_sources_are_refused(
    data: BlockSet, teacher: Path, tmp_path: Path
) -> None:
    run = pupil(data, tmp_path / "run", teacher)
    exported = CliRunner().invoke(main, ["export", str(run.path), "-o", str(tmp_path / "bundle")])
    assert exported.exit_code == 0, exported.output
    manifest = Bundle.load(tmp_path / "bundle").manifest
    assert manifest["provenance"]["taught_by"]["name"] == "teacher.pt"
    assert "It learnt from teacher.pt, ensemble of small" in (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    edit_manifest(tmp_path / "bundle", lambda m: m["provenance"]["taught_by"].update(trained_on=[1]))
    with pytest.raises(ToolkitError, match=r"taught_by\.trained_on\[0\] is 1, expected str"):
        Bundle.load(tmp_path / "bundle")
    edit_manifest(tmp_path / "bundle", lambda m: m["provenance"].update(taught_by="a friend"))
    with pytest.raises(ToolkitError, match="taught_by is 'a friend', expected dict"):
        Bundle.load(tmp_path / "bundle")


def test_resuming_is_as_if_it_had_not_stopped_and_wants_the_same_teacher(
    data: BlockSet, teacher: Path, trained: Path, tmp_path: Path
) -> None:
    class Killed(Exception):
        pass

    def kill(what: str, done: int, total: int) -> None:
        if what.startswith("epoch 3/"):
            raise Killed

    mine = tmp_path / "mine.pt"
    mine.write_bytes(teacher.read_bytes())
    config = TrainConfig(**FAST | {"distil": 0.5, "auxiliary": 0.5})
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    train(data, whole, SMALL, config, teacher=mine)
    with pytest.raises(Killed):
        train(data, cut, SMALL, config, teacher=mine, on_step=kill)
    with pytest.raises(ToolkitError, match=r"not the teacher that .* was started with"):
        train(data, cut, SMALL, config, teacher=trained, resume=True)
    mine.write_bytes((trained / "stage2_model_best.pt").read_bytes())
    with pytest.raises(ToolkitError, match=r"not the teacher that .* was started with"):
        train(data, cut, SMALL, config, resume=True)
    moved_to, link = tmp_path / "elsewhere" / "mine.pt", tmp_path / "link.pt"
    moved_to.parent.mkdir()
    moved_to.write_bytes(teacher.read_bytes())
    link.symlink_to(moved_to)
    train(data, cut, SMALL, config, teacher=link, resume=True)
    assert moved(weights(whole, 3), weights(cut, 3)) == set()
    assert measured(whole) == measured(cut)
    alone = pupil(data, tmp_path / "alone", None, epochs=1)
    with pytest.raises(ToolkitError, match=r"not the teacher that .* was started with \(none\)"):
        train(data, alone, SMALL, TrainConfig(**alone.read()["train"]), teacher=link, resume=True)


def test_a_run_whose_teacher_is_gone_is_not_extended(data: BlockSet, teacher: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.pt"
    mine.write_bytes(teacher.read_bytes())
    run = pupil(data, tmp_path / "run", mine, epochs=1)
    before = run.read()
    mine.unlink()
    more = Extension(1, 1e-3)
    with pytest.raises(ToolkitError, match=r"mine\.pt: no such file"):
        train(data, run, SMALL, TrainConfig(**before["train"]), resume=True, extension=more)
    assert run.read() == before
    mine.write_bytes(teacher.read_bytes())
    assert len(train(data, run, SMALL, TrainConfig(**before["train"]), resume=True, extension=more)) == 2


def test_views_make_another_teacher_and_none_is_a_setting_too(data: BlockSet, trained: Path, tmp_path: Path) -> None:
    hashes = set()
    for views in ("flips", "dihedral"):
        path = tmp_path / views / "teacher.pt"
        path.parent.mkdir()
        make_ensemble([trained], path, data, views)
        hashes.add(open_teacher(path, SMALL, data)[1]["sha256"])
    assert len(hashes) == 2
    assert RunSummary.read(trained).settings["teacher"] is None
    assert "teacher" not in RunSummary.read(trained).changed


def test_what_has_no_effect_beside_a_teacher_is_said(data: BlockSet, teacher: Path, tmp_path: Path) -> None:
    common = ["train", data.path, "--init", "random", "--backbone", "small", "--epochs", 1, "--limit-train", 200]
    common += ["--device", "cpu", "--teacher", teacher]
    for name, words, said in (
        ("a", ["--gamma", 5], "gamma of the labels have no effect"),
        ("b", ["--distil", 0], "leaves the teacher no part"),
        ("c", ["--gamma", 5, "--distil", 0.5], ""),
    ):
        run = done(*common, "-o", tmp_path / name, *words)
        assert said in run.stderr
        assert ("Warning" in run.stderr) == bool(said)


def test_who_may_not_teach(data: BlockSet, trained: Path, tmp_path: Path) -> None:
    good = load_checkpoint(trained / "stage2_model_best.pt")
    held = [s["sha256"] for s in data.sources if s["split"] == "val"]
    bad = {
        "teacher's stage is 2, this model's 3-ab": (good, ModelConfig("3-ab", "small")),
        "teacher's context is 0, this model's 8": (good, replace(SMALL, context=8)),
        "for other encoder settings": (replace(good, encoder={**good.encoder, "cpu_used": 3}), SMALL),
        r"the teacher was trained on val-3 \(val\), val-4 \(val\)": (
            replace(good, provenance={**good.provenance, "train_sources": held}), SMALL,
        ),
    }  # fmt: skip
    broken = load_checkpoint(trained / "stage2_model_best.pt")
    with torch.no_grad():
        broken.model.get_submodule("head.last").weight.fill_(torch.nan)
    bad["weights that are no numbers"] = broken, SMALL
    for message, (checkpoint, model) in bad.items():
        save_checkpoint(tmp_path / "teacher.pt", checkpoint)
        with pytest.raises(ToolkitError, match=message):
            train(data, RunFolder(tmp_path / "run"), model, TrainConfig(**FAST), teacher=tmp_path / "teacher.pt")
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--distil", "0.5"], "distil given without --teacher"),
        (["--teacher", "TEACHER", "--distil", "1.5"], "expected a share from 0 to 1"),
        (["--teacher", "TEACHER", "--distil", "nan"], "expected a share from 0 to 1"),
        (["--teacher", "TEACHER", "--distil-temperature", "0"], "a temperature of at least 0.1"),
        (["--teacher", "nowhere.pt"], "nowhere.pt: no such file"),
    ],
)
def test_the_command_refuses(data: BlockSet, teacher: Path, tmp_path: Path, options: list[str], message: str) -> None:
    words = [str(teacher) if word == "TEACHER" else word for word in options]
    command = ["train", str(data.path), "-o", str(tmp_path / "run"), "--init", "random", "--backbone", "small", *words]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert message in result.output
    assert not (tmp_path / "run").exists()


def test_a_sweep_teaches_its_arms_and_not_their_stage_1(teacher: Path) -> None:
    options = {"teacher": teacher, "distil": 0.5, "distil_temperature": 3.0, "backbone": "small"}
    stage1, run = plan(SweepConfig((Variant("ulmfit"),), seeds=1, options=options))
    assert run.options["teacher"] == teacher
    assert not set(options) - {"backbone"} & set(stage1.options)
