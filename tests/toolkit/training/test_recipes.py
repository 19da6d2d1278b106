"""Recipes: which weights move in which phase, that cached features change nothing, and extension."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.model.adapters import is_adapter
from toolkit.model.checkpoint import load_checkpoint
from toolkit.model.config import ADAPTERS, ModelConfig
from toolkit.model.network import PartitionNet
from toolkit.training.config import RECIPES, Extension, TrainConfig
from toolkit.training.execution import FeatureCache, worth_caching
from toolkit.training.run_folder import RunFolder
from toolkit.training.schedule import phase_of
from toolkit.training.train import train


@pytest.fixture(scope="module")
def stage1(data: BlockSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = RunFolder(tmp_path_factory.mktemp("runs") / "stage1")
    config = TrainConfig(init="random", epochs=1, batch_size=64, device="cpu", limit_train=128, limit_val=128)
    train(data, run, ModelConfig("1", "resnet18-se"), config)
    return run.path


def state(run: RunFolder, epoch: int) -> dict[str, torch.Tensor]:
    return load_checkpoint(run.epoch_path(epoch)).model.state_dict()


def moved(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> set[str]:
    return {k for k in a if not torch.equal(a[k], b[k])}


@pytest.mark.parametrize("kind", [a for a in ADAPTERS if a != "none"])
def test_adapters_start_as_identity_and_alone_move(data: BlockSet, stage1: Path, kind: str, tmp_path: Path) -> None:
    start = load_checkpoint(RunFolder(stage1).artefact("model_best.pt")).model
    adapted = PartitionNet(ModelConfig("1", "resnet18-se"))
    adapted.load_state_dict(start.state_dict())
    adapted.add_adapters(ModelConfig("1", "resnet18-se", adapter=kind))
    x = torch.rand(4, 1, 16, 16) * 255
    assert torch.equal(adapted.eval().features(x), start.features(x))

    run = RunFolder(tmp_path / "run")
    options: dict[str, Any] = {"epochs": 2, "limit_train": 128, "limit_val": 64, "batch_size": 64, "device": "cpu"}
    config = TrainConfig(init="stage1", freeze_epochs=5, **options)
    train(data, run, ModelConfig("2", "resnet18-se", adapter=kind), config, start=stage1)
    before, after = state(run, 1), state(run, 2)
    changed = moved(before, after)
    assert all(is_adapter(k) or k.startswith("head.") for k in changed)
    assert {k for k in before if is_adapter(k) and k.endswith("weight")} <= changed
    frozen = load_checkpoint(RunFolder(stage1).artefact("model_best.pt")).model.backbone.state_dict()
    kept = {k.replace(".layer.", "."): v for k, v in after.items() if k.startswith("backbone.") and not is_adapter(k)}
    assert {k.removeprefix("backbone.") for k in kept} == set(frozen)
    assert all(torch.equal(v, frozen[k.removeprefix("backbone.")]) for k, v in kept.items())


def test_gradual_unfreezing_lets_one_more_group_learn_each_time() -> None:
    config = TrainConfig(init="stage1", epochs=8, freeze_epochs=2, gradual=2)
    assert [phase_of(config, [], e, 5).groups for e in range(1, 9)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [phase_of(TrainConfig(init="stage1", epochs=3, freeze_epochs=1), [], e, 5).groups for e in (1, 2, 3)] == [
        0,
        5,
        5,
    ]


def test_gradual_unfreezing_moves_only_the_last_group(data: BlockSet, stage1: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    config = TrainConfig(
        epochs=2, freeze_epochs=1, gradual=1, lr_backbone=1e-3, limit_train=64, limit_val=64, device="cpu"
    )
    train(data, run, ModelConfig("2", "resnet18-se"), config, start=stage1)
    backbone = {k.split(".")[1] for k in moved(state(run, 1), state(run, 2)) if k.startswith("backbone.")}
    assert backbone == {"layer4", "se4", "spatial_attn"}


def test_an_extension_restarts_the_rates() -> None:
    config = TrainConfig(init="random", epochs=4, lr=1e-3)
    rates = [phase_of(config, [Extension(2, 4e-4)], e, 5).lr for e in range(1, 7)]
    assert rates[0] == 1e-3
    assert rates[4:] == pytest.approx([4e-4, 2e-4])
    assert rates == sorted(rates[:4], reverse=True) + rates[4:]


def test_extending_a_finished_run(data: BlockSet, tmp_path: Path) -> None:
    path = str(tmp_path / "run")
    common = ["train", str(data.path), "-o", path]
    first = CliRunner().invoke(
        main, [*common, "--backbone", "small", "--recipe", "scratch", "--epochs", "1", "--device", "cpu"]
    )
    assert first.exit_code == 0, first.output
    refused = CliRunner().invoke(main, [*common, "--resume", "--extend", "2"])
    assert refused.exit_code == 1
    assert "--extend-lr" in refused.output
    second = CliRunner().invoke(main, [*common, "--resume", "--extend", "2", "--extend-lr", "1e-4"])
    assert second.exit_code == 0, second.output
    assert [e["epoch"] for e in RunFolder(Path(path)).history()] == [1, 2, 3]
    assert RunFolder(Path(path)).read()["extensions"] == [{"epochs": 2, "lr": 1e-4}]


def test_an_unfinished_run_is_not_extended(data: BlockSet, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    config = TrainConfig(init="random", epochs=3, limit_train=64, limit_val=64, device="cpu")

    class Stop(Exception):
        pass

    def stop(entry: dict[str, Any]) -> None:
        raise Stop

    with pytest.raises(Stop):
        train(data, run, ModelConfig("2", "small"), config, on_epoch=stop)
    with pytest.raises(ToolkitError, match="1 of 3 epochs are finished"):
        run.extend(Extension(5, 1e-4))


@pytest.mark.numeric
def test_cached_features_are_the_features(data: BlockSet) -> None:
    torch.manual_seed(0)
    model = PartitionNet(ModelConfig("2", "small")).eval()
    luma = torch.from_numpy(data.split_blocks("train", "2", 40).luma)
    cache = FeatureCache(model, luma, "dihedral", 1.0, batch=16)
    index, view = torch.arange(40).flip(0), torch.arange(40) % 8
    from toolkit.model.augment import turn_each

    with torch.no_grad():
        direct = model.features(turn_each(luma[index].float(), view))
    assert torch.allclose(cache(index, view), direct, atol=1e-5)
    assert worth_caching("flips", 4)
    assert not worth_caching("dihedral", 4)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_is_a_valid_configuration(recipe: str) -> None:
    model = set(ModelConfig.__dataclass_fields__)
    options = RECIPES[recipe].options
    TrainConfig(**{k: v for k, v in options.items() if k not in model})
    ModelConfig(**{k: v for k, v in options.items() if k in model})


def test_an_option_overrules_the_recipe(data: BlockSet, tmp_path: Path) -> None:
    arguments = ["train", str(data.path), "-o", str(tmp_path / "run"), "--recipe", "scratch", "--backbone", "small"]
    more = ["--epochs", "1", "--limit-train", "64", "--limit-val", "64", "--sampler", "balanced", "--no-qindex"]
    result = CliRunner().invoke(main, [*arguments, *more, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "balances twice" in result.output
    description = RunFolder(tmp_path / "run").read()
    assert description["train"]["init"] == "random"
    assert description["train"]["recipe"] == "scratch"
    assert description["model"]["qindex"] is False


def test_recalibration_changes_statistics_and_no_weight(data: BlockSet, stage1: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    options: dict[str, Any] = {"limit_train": 64, "limit_val": 64, "device": "cpu", "lr_backbone": 1e-12}
    config = TrainConfig(epochs=2, freeze_epochs=1, batch_norm="recalibrate", weight_decay=0.0, **options)
    train(data, run, ModelConfig("2", "resnet18-se"), config, start=stage1)
    changed = moved(state(run, 1), state(run, 2))
    assert "backbone.bn1.running_mean" in changed
    drift = [(state(run, 1)[k] - state(run, 2)[k]).abs().max() for k in changed if k == "backbone.conv1.weight"]
    assert all(d < 1e-6 for d in drift)


def test_recipes_are_listed_with_their_sources() -> None:
    result = CliRunner().invoke(main, ["recipes"])
    assert result.exit_code == 0
    for name, recipe in RECIPES.items():
        assert name in result.output
        assert recipe.source in result.output
    assert set(json.loads(CliRunner().invoke(main, ["recipes", "--json"]).stdout)) == set(RECIPES)
