"""`av1part policy fit`: thresholds by what they cost, never beyond the target, in a pipeline that says so."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.pictures import CHELSEA

from integration.commands.policy_tables import print_fit, trial_log
from integration.pipeline.build import build_pipeline
from integration.pipeline.config import BuildConfig
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.policy import Policy
from integration.tuning.config import PolicyFitConfig
from integration.tuning.fit import Alone, FittedPolicy, PolicyTrial, fit_policy, write_fitted
from integration.tuning.regret import Outcome
from integration.tuning.search import Point
from toolkit.cli.main import main
from toolkit.data.blockset import COST_DTYPE, BlockSet
from toolkit.data.write import Source, write_blockset
from toolkit.errors import ToolkitError
from toolkit.partition import INSIDE_LARGER, NONE


class FakeSearch:
    """A search whose curve is known: ten points of time for each percent of RD cost."""

    def __init__(self) -> None:
        self.points: list[Point] = []

    def within(self, target: float) -> Point:
        point = Point(Policy.of(drop_ab_below=min(target, 1)), Outcome(target, 10 * target, 1))
        self.points.append(point)
        return point


def fit(target: float, bd_rate_of_rd: float, checks: int = 4) -> FittedPolicy:
    def encode(point: Point) -> PolicyTrial:
        return PolicyTrial(point, point.outcome.loss * bd_rate_of_rd, 0.8 * point.outcome.saving, 0.01, 0.02)

    return fit_policy(FakeSearch(), PolicyFitConfig(target_loss=target, checks=checks), encode)  # type: ignore[arg-type]


@pytest.mark.parametrize("factor", [0.5, 1.7, 3])
def test_encodes_correct_the_aim_until_the_bd_rate_fits(factor: float) -> None:
    found = fit(0.3, factor)
    assert found.chosen.outcome.loss == pytest.approx(0.3 / factor)
    assert len(found.trials) <= 4
    assert all(t.loss <= 0.3 + 1e-9 for t in found.trials if t.point == found.chosen)


def test_a_policy_that_encodes_dearer_than_the_target_is_never_chosen() -> None:
    with pytest.raises(ToolkitError, match="more --checks"):
        fit(0.3, 100, checks=2)
    assert fit(0.3, 100, checks=8).chosen.outcome.loss <= 0.003


def test_where_no_trial_fits_the_best_one_and_the_share_of_inference_are_told() -> None:
    told = r"lost least cost 15\.00% of BD-rate and saved 0\.6% of the CPU time; inference took 1\.0% of it"
    with pytest.raises(ToolkitError, match=told):
        fit(0.3, 200, checks=2)  # of RD cost 0.3%, then a quarter of it, a loss of 60% and of 15%
    assert fit(0.3, 0.5).chosen.outcome.saving > 0


@pytest.mark.parametrize(
    ("alone", "told"),
    [(None, "saved time for a loss"), (Alone(0.1, 20), r"saved time more than the pruner alone \(20\.0%\) for a loss")],
)
def test_a_policy_that_saves_no_time_in_its_encodes_is_an_error_unless_it_is_asked_for(
    alone: Alone | None, told: str
) -> None:
    def encode(point: Point) -> PolicyTrial:
        return PolicyTrial(point, 0.11, (alone.saving if alone else 0) - 2.1, 0.01, 0.02)

    search, config = FakeSearch(), PolicyFitConfig(checks=2)
    with pytest.raises(ToolkitError, match=f"(?s){told}.*--allow-loss"):
        fit_policy(search, config, encode, alone=alone)  # type: ignore[arg-type]
    taken = fit_policy(search, replace(config, allow_loss=True), encode, alone=alone)  # type: ignore[arg-type]
    assert taken.chosen in [trial.point for trial in taken.trials]


def test_a_loss_does_not_read_like_a_saving(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    point = Point(Policy.of(drop_ab_below=0.1), Outcome(0.1, 6.0, 2.0))
    loss = PolicyTrial(point, 0.11, -2.1, 0.01, 0.001)
    print_fit(FittedPolicy(point, [point], [loss]), PolicyFitConfig(), tmp_path)
    assert "Warning: a loss, taken by --allow-loss" in capsys.readouterr().out
    trial_log()(loss)
    assert "BD-rate +0.11%, took 2.1% more CPU time; by recorded costs" in capsys.readouterr().err


def test_without_clips_the_loss_is_of_rd_cost() -> None:
    found = fit_policy(FakeSearch(), PolicyFitConfig(target_loss=0.3))  # type: ignore[arg-type]
    assert found.chosen.outcome.loss == 0.3
    assert found.trials == []


def test_a_fitted_pipeline_is_sealed_and_says_where_its_policy_came_from(tmp_path: Path, exported: Path) -> None:
    build_pipeline([exported], tmp_path / "pipe", Policy(), BuildConfig(allow_unproven=True))
    point = Point(Policy.from_text(["drop_ab_below@100-255=0.31"]), Outcome(0.1, 6.0, 2.0))
    found = FittedPolicy(point, [point], [PolicyTrial(point, 0.2, 5.0, 0.01, 0.001)])
    about = {"data_sha256": "0" * 64, "clips": [{"name": "cat"}]}
    write_fitted(Pipeline.load(tmp_path / "pipe"), found, tmp_path / "fitted", PolicyFitConfig(), about)
    fitted = Pipeline.load(tmp_path / "fitted")
    assert fitted.policy == point.policy
    assert fitted.manifest["policy_fit"]["result"]["recorded"] == {"loss": 0.1, "saving": 6.0, "lost": 2.0}
    assert fitted.manifest["policy_fit"]["result"]["encoded"]["loss"] == 0.2
    assert fitted.manifest["policy_fit"]["clips"][0]["name"] == "cat"
    assert fitted.manifest["unproven"] == ["2"]


def with_costs(path: Path, output: Path) -> Path:
    """The same data set with costs: everything tried in equal time, all but the label 5% dearer."""
    data = BlockSet.load(path)
    sources = [
        Source(s["name"], s["split"], s["sha256"], np.array(data.luma(k)), licence="CC0-1.0", origin="synthetic")
        for k, s in enumerate(data.sources)
    ]
    costs = np.zeros(len(data.blocks), COST_DTYPE)
    costs["rd"], costs["seconds"] = 105, 1e-3
    label = np.where(data.blocks["partition"] == INSIDE_LARGER, NONE, data.blocks["partition"])
    costs["rd"][np.arange(len(costs)), label] = 100
    write_blockset(output, sources, data.blocks, data.bit_depth, data.manifest["encoder"], costs=costs)
    return output


def test_the_command_fits_by_the_costs_of_a_data_set(tmp_path: Path, exported: Path, blockset_8: Path) -> None:
    build_pipeline([exported], tmp_path / "pipe", Policy(), BuildConfig(allow_unproven=True))
    words = ["policy", "fit", str(tmp_path / "pipe"), "-o", str(tmp_path / "fitted"), "--target-loss", "0.2"]
    refused = CliRunner().invoke(main, [*words, "--data", str(blockset_8)])
    assert refused.exit_code == 1
    assert "--with-costs" in refused.output
    data = with_costs(blockset_8, tmp_path / "costs")
    words += ["--data", str(data), "--ranges", "99,255"]
    plan = CliRunner().invoke(main, [*words, "--clips", str(CHELSEA), "--size", "64x64", "--dry-run"])
    nodes = len(BlockSet.load(data).split_index("val"))
    assert f"2 thresholds for 2 ranges of qindex, sought on {nodes:,} nodes.\n" in plan.output
    assert "At most 3 policies are tried:\n  chelsea: 1 frame of 64x42, 8 bit\n" in plan.output
    assert "1 sources at 4 cq by 6 arms: 24 encodes.\n" in plan.output
    assert not (tmp_path / "fitted").exists()
    result = CliRunner().invoke(main, [*words, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["chosen"]
    assert 0 < found["loss"] <= 0.2
    assert found["saving"] > 5
    fitted = Pipeline.load(tmp_path / "fitted")
    assert fitted.policy.to_dict() == found["policy"]
    assert fitted.manifest["policy_fit"]["data_sha256"] == BlockSet.load(data).sha256
    printed = CliRunner().invoke(main, [*words, "--overwrite"])
    assert "qindex 100 to 255" in printed.output
    assert "chosen" in printed.output

    def evaluated(name: str) -> str:
        told = CliRunner().invoke(main, ["pipeline", "eval", str(tmp_path / name), str(data), "--allow-unproven"])
        assert told.exit_code == 0, told.output
        return told.stderr

    assert "were not chosen by what they cost" in evaluated("pipe")
    assert "Next: av1part policy fit" in evaluated("pipe")
    assert "were not chosen" not in evaluated("fitted")
    assert "Next: av1part bench encoder" in evaluated("fitted")
